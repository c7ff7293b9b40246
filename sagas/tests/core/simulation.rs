//! Scripts against the pure transition: what the engine would do, on a virtual clock.

use std::time::Duration;

use sagas::{
    Definition, Phase, Progress, Retry, Step, Undo, Undoing,
    simulation::{Report, Script, What},
};

use super::given::{SECOND, submission};

fn script(text: &str) -> Script {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

fn run(text: &str) -> Report {
    script(text).run(&submission()).expect("a sound script")
}

/// What happened, with its time in milliseconds.
fn told(report: &Report) -> Vec<(u128, What, String)> {
    let entries = report.timeline.iter();
    entries
        .map(|entry| {
            let said = match &entry.ignored {
                Some(why) => format!("{}: {why}", entry.inputs.join("; ")),
                None => entry.inputs.join("; "),
            };
            (entry.at.as_millis(), entry.what, said)
        })
        .collect()
}

#[test]
fn answers_that_come_after_their_asks_complete_the_saga() {
    let report = run(r#"
        expect = "completed"
        [[replies]]
        step = "badges"
        says = "done"
        after = "120ms"
        [[replies]]
        step = "board"
        says = "done"
        after = "20ms"
        times = 2
    "#);
    assert!(report.holds);
    assert_eq!(
        told(&report),
        [
            (0, What::Start, "start; record done".to_owned()),
            (20, What::Reply, "board done".to_owned()),
            (
                20,
                What::Reply,
                "board done: step board is settled already".to_owned()
            ),
            (120, What::Reply, "badges done".to_owned()),
        ]
    );
    let last = report.timeline.last().expect("an entry");
    assert_eq!(last.effects, ["end completed"]);
    assert!(last.waits_for.is_empty());
    assert_eq!(last.version, 3, "what changed nothing has no version");
}

#[test]
fn silence_runs_into_the_deadline_and_its_undo_is_asked_for_until_a_person_is_needed() {
    let report = run(r#"
        expect = "needs_intervention"
        [[replies]]
        step = "badges"
        says = "done"
        after = "1s"
        [[replies]]
        step = "badges"
        says = "undone"
        after = "1s"
        [[replies]]
        step = "board"
        says = "none"
    "#);
    assert!(report.holds, "{report}");
    let board = report.state.step("board").expect("a step");
    assert_eq!(
        (board.progress, board.undo),
        (Progress::Unknown, Undoing::Failed)
    );
    assert_eq!(board.undo_attempt, 2);
    let due: Vec<u128> = report
        .timeline
        .iter()
        .filter(|entry| entry.what == What::Timer)
        .map(|entry| entry.at.as_millis())
        .collect();
    // The deadline, then the pauses of the undo's policy: 1 s, 2 s.
    assert_eq!(due, [5000, 6000, 8000]);
}

#[test]
fn a_reply_in_the_deadlines_very_instant_wins_and_one_after_it_changes_nothing() {
    let at = |badges: &str| {
        run(&format!(
            "[[replies]]\nstep = \"board\"\nsays = \"done\"\nat = \"1s\"\n\
             [[replies]]\nstep = \"badges\"\nsays = \"done\"\nat = \"{badges}\"\n\
             [[replies]]\nstep = \"badges\"\nsays = \"undone\"\nafter = \"1s\"\n\
             [[replies]]\nstep = \"board\"\nsays = \"undone\"\nafter = \"1s\"\n"
        ))
    };
    assert_eq!(at("5s").outcome, Some(Phase::Completed));
    let late = at("5000001us");
    assert_eq!(late.outcome, Some(Phase::Compensated));
    assert!(late.state.step("badges").expect("a step").late.is_some());
}

#[test]
fn operators_act_on_the_version_that_they_decided_on_or_not_at_all() {
    let report = run(r#"
        expect = "compensated"
        replies = [
            { step = "badges", says = "undone", after = "1s" },
            { step = "board", says = "undone", after = "1s" },
        ]
        [[operator]]
        at = "1s"
        verb = "compensate"
        if_version = 7
        [[operator]]
        at = "2s"
        verb = "compensate"
        reason = "a wrong question"
        if_version = 1
        [[operator]]
        at = "2s"
        verb = "retry"
        step = "badges"
        if_version = 1
        [[operator]]
        at = "1m"
        verb = "abandon"
    "#);
    assert!(report.holds, "{report}");
    let acts: Vec<Option<&str>> = report
        .timeline
        .iter()
        .filter(|entry| entry.what == What::Operator)
        .map(|entry| entry.ignored.as_deref())
        .collect();
    assert_eq!(
        acts,
        [
            Some("the saga is at version 1, not 7"),
            None,
            Some("the saga is at version 2, not 1"),
            Some("the saga is compensated"),
        ]
    );
    let text = report.to_string();
    assert!(text.contains("because a wrong question"), "{text}");
    assert!(
        text.ends_with("outcome: compensated, as expected"),
        "{text}"
    );
}

#[test]
fn local_steps_fail_attempt_by_attempt_and_a_start_that_fails_starts_nothing() {
    let local = |name| Step::local(name).retry(Retry::new(2, SECOND, SECOND));
    let definition = Definition::new("d", 1)
        .step(local("first").undo(Undo::local().retry(Retry::new(2, SECOND, SECOND))))
        .step(Step::ask("far"))
        .step(local("last"));
    let run = |text: &str| script(text).run(&definition).expect("a sound script");
    let far = "replies = [{ step = \"far\", says = \"done\", after = \"1ms\" }]\n";

    let twice = run(&format!(
        "{far}[local]\nlast = {{ act = [\"fails\", \"done\"] }}\n"
    ));
    assert_eq!(twice.outcome, Some(Phase::Completed));
    assert_eq!(
        twice.timeline.last().map(|entry| entry.at),
        Some(Duration::from_millis(1001))
    );

    let undo = run(&format!(
        "{far}[local]\nlast = {{ act = [\"refused\"] }}\nfirst = {{ undo = [\"fails\"] }}\n"
    ));
    assert_eq!(undo.outcome, Some(Phase::NeedsIntervention));

    let nothing = run("expect = \"compensated\"\n[local]\nfirst = { act = [\"fails\"] }\n");
    assert_eq!((nothing.outcome, nothing.holds), (None, false));
    assert_eq!(nothing.state.step("first").expect("a step").attempt, 0);
    assert!(
        nothing
            .to_string()
            .contains("outcome: not started, and compensated was expected")
    );
}

#[test]
fn a_policy_of_the_script_holds_as_an_operators_would() {
    let report = run(r#"
        expect = "completed"
        policy = { badges = "proceed", board = "proceed" }
    "#);
    assert!(report.holds, "{report}");
}

#[test]
fn all_faults_of_a_script_are_told_at_once_with_their_places() {
    let faulty = script(
        r#"
        policy = { record = "park" }
        replies = [
            { step = "nobody", says = "done", at = "1s" },
            { step = "badges", says = "done" },
            { step = "badges", says = "done", at = "1s", after = "1s" },
            { step = "badges", says = "done", at = "1s", times = 0 },
        ]
        operator = [
            { at = "1s", verb = "resolve", step = "badges" },
            { at = "1s", verb = "abandon", step = "badges" },
        ]
        [local]
        badges = { act = ["done"] }
        record = { undo = ["refused"] }
    "#,
    );
    let faults = faulty.run(&submission()).expect_err("faults");
    let places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "policy.record",
            "local.badges.act",
            "local.record.undo",
            "replies[0]",
            "replies[1]",
            "replies[2]",
            "replies[3]",
            "operator[0]",
            "operator[1]",
        ]
    );
    assert!(
        faults[3].to_string().contains("record, badges, board"),
        "{faults:?}"
    );
    assert!(
        toml::from_str::<Script>("replys = []").is_err(),
        "unknown keys are faults"
    );
    let unit = toml::from_str::<Script>("[[operator]]\nat = \"5\"\nverb = \"abandon\"");
    assert!(
        unit.expect_err("no unit")
            .to_string()
            .contains("us, ms, s or m")
    );
}
