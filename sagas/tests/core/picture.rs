//! Pictures of definitions and of sagas' ways through them.

use sagas::{Definition, Outcome, Outline, Step, Timer, picture::Picture};

use super::given::{Given, answered, submission};

/// A saga that turned back: one participant refused, the other has not confirmed its undo.
fn turned_back() -> Given {
    let mut saga = Given::started(submission());
    saga.done("record").when(answered(
        "badges",
        Outcome::Refused {
            reason: "<no> & \"never\"".into(),
        },
    ));
    saga
}

/// The attributes of each step's group in the SVG.
fn marks(svg: &str) -> Vec<&str> {
    svg.lines()
        .filter_map(|line| line.strip_prefix("<g data-step="))
        .map(|line| line.split_once("><rect").expect("a box").0)
        .collect()
}

#[test]
fn a_sagas_way_is_coloured_by_what_became_of_each_step() {
    let saga = turned_back();
    let outline = saga.definition.outline();
    let svg = Picture::of(&outline).with(&saga.state).svg();
    assert_eq!(
        marks(&svg),
        [
            "\"record\" data-mark=\"undoing\"",
            "\"badges\" data-mark=\"refused\"",
            "\"board\" data-mark=\"undoing\"",
        ]
    );
    let mermaid = Picture::of(&outline).with(&saga.state).mermaid();
    assert!(mermaid.contains("s0 --> s1 & s2\n"), "{mermaid}");
    assert!(mermaid.contains("s1 & s2 -.-> finish\n"), "{mermaid}");
    assert!(mermaid.contains("class s1 refused\n"), "{mermaid}");
    assert!(mermaid.contains("finish([\"compensating\"])"), "{mermaid}");
}

#[test]
fn a_step_that_was_undone_and_one_whose_undo_gave_up_look_different() {
    let mut saga = turned_back();
    saga.when(sagas::Input::Undone {
        step: "record".into(),
    });
    saga.due("board", Timer::UndoRetry)
        .due("board", Timer::UndoRetry);
    let outline = saga.definition.outline();
    let svg = Picture::of(&outline).with(&saga.state).svg();
    assert_eq!(
        marks(&svg),
        [
            "\"record\" data-mark=\"undone\"",
            "\"badges\" data-mark=\"refused\"",
            "\"board\" data-mark=\"stuck\"",
        ]
    );
    assert!(svg.contains("needs_intervention"), "{svg}");
}

#[test]
fn texts_of_a_saga_never_become_markup() {
    let saga = turned_back();
    let outline = saga.definition.outline();
    let picture = Picture::of(&outline).with(&saga.state);
    let svg = picture.svg();
    assert!(svg.contains("&lt;no&gt; &amp; &quot;never&quot;"), "{svg}");
    assert!(!svg.contains("<no>"), "{svg}");
    let hostile = Definition::new("a\"]\n", 1).step(Step::local("<script>\"]; click"));
    let outline = hostile.outline();
    let (svg, mermaid) = (Picture::of(&outline).svg(), Picture::of(&outline).mermaid());
    assert!(!svg.contains("<script>"), "{svg}");
    assert!(
        mermaid.contains("#lt;script#gt;#quot;]; click"),
        "{mermaid}"
    );
    assert_eq!(mermaid.lines().count(), 8, "{mermaid}");
}

#[test]
fn parallel_steps_stand_side_by_side_and_nothing_leaves_the_picture() {
    let outline = submission().outline();
    let svg = Picture::of(&outline).svg();
    let places: Vec<(usize, usize, usize)> = svg
        .lines()
        .filter(|line| line.starts_with("<g data-step="))
        .map(|line| {
            let number = |name: &str| {
                let (_, rest) = line.split_once(&format!(" {name}=\"")).expect("a place");
                rest.split('"')
                    .next()
                    .expect("a number")
                    .parse()
                    .expect("a number")
            };
            (number("x"), number("y"), number("width"))
        })
        .collect();
    let [record, badges, board] = places[..] else {
        panic!("three steps: {svg}")
    };
    assert!(record.1 < badges.1, "a later stage stands below");
    assert_eq!(badges.1, board.1, "steps of a stage stand in a row");
    assert!(badges.0 + badges.2 < board.0, "they do not overlap");
    let width: usize = svg
        .split_once("width=\"")
        .and_then(|(_, rest)| rest.split('"').next())
        .and_then(|number| number.parse().ok())
        .expect("a width");
    assert!(board.0 + board.2 < width, "{svg}");
}

#[test]
fn without_its_definition_a_sagas_steps_are_shown_one_below_the_other() {
    let saga = turned_back();
    let outline = Outline::of_state("submission", 1, &saga.state);
    let mermaid = Picture::of(&outline).with(&saga.state).mermaid();
    assert!(mermaid.contains("s0 --> s1\n"), "{mermaid}");
    assert!(mermaid.contains("s1 --> s2\n"), "{mermaid}");
    let shown = serde_json::to_value(&outline).expect("JSON");
    assert_eq!(
        serde_json::from_value::<Outline>(shown).expect("an outline"),
        outline
    );
}
