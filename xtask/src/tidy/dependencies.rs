//! Who may know whom.

use cargo_metadata::{DependencyKind, Package};

use super::Finding;
use crate::workspace::Workspace;

/// A package of the workspace, and those of its own that it depends on.
pub(super) struct Member {
    name: String,
    manifest: String,
    is_service: bool,
    /// What the program itself is built from.
    knows: Vec<String>,
    /// What only its tests use.
    tests_know: Vec<String>,
    /// Whether it is built with the faults that tests switch on.
    is_armed: bool,
}

const LEGACY: &str = "legacy";
const TESTKIT: &str = "testkit";
/// What dies in tests, and the one program that has faults in it.
const CRASHES: &str = "crashes";
/// What breaks the distributed form and audits it.
const CHAOS: &str = "chaos";
const FAULTS: &str = "faults";
const ARMED: &str = "armed";
/// What every service is composed with.
const FRAME: &str = "service";
/// What a service stands on.
const SPINE: &[&str] = &[
    "bus",
    "chassis",
    "contracts",
    "database",
    "event-store",
    "sagas",
];

pub(super) fn members(workspace: &Workspace) -> anyhow::Result<Vec<Member>> {
    let packages = workspace.metadata.workspace_packages();
    let mut members = Vec::new();
    for package in &packages {
        let manifest = package
            .manifest_path
            .strip_prefix(&workspace.metadata.workspace_root)?;
        let ours = |wants_tests: bool| {
            package
                .dependencies
                .iter()
                .filter(|dependency| dependency.path.is_some())
                .filter(|dependency| {
                    (dependency.kind == DependencyKind::Development) == wants_tests
                })
                .map(|dependency| dependency.name.clone())
                .collect()
        };
        members.push(Member {
            name: package.name.to_string(),
            manifest: manifest.to_string(),
            is_service: manifest.starts_with("services"),
            knows: ours(false),
            tests_know: ours(true),
            is_armed: is_armed(package),
        });
    }
    Ok(members)
}

/// Whether a build of the package, or one of its features, switches the faults on.
fn is_armed(package: &Package) -> bool {
    let turned_on = package.features.values().flatten();
    let mut by_feature = turned_on.filter(|on| on.contains(FAULTS) && on.contains(ARMED));
    let built_from = package.dependencies.iter();
    let mut built_from = built_from.filter(|known| known.kind != DependencyKind::Development);
    by_feature.next().is_some()
        || built_from.any(|known| known.name == FAULTS && known.features.iter().any(|f| f == ARMED))
}

pub(super) fn check(members: &[Member]) -> Vec<Finding> {
    let services: Vec<&str> = members
        .iter()
        .filter(|member| member.is_service)
        .map(|m| m.name.as_str())
        .collect();
    let mut findings = Vec::new();
    for member in members {
        let Some(allowed) = allowed(member, &services) else {
            let text = format!(
                "no rule says whom {} may know: add one to `tidy`",
                member.name
            );
            findings.push(Finding::error(&member.manifest, 0, text));
            continue;
        };
        if member.is_armed && member.name != CRASHES {
            let text = format!(
                "{} must not be built with faults: only its tests",
                member.name
            );
            findings.push(Finding::error(&member.manifest, 0, text));
        }
        // `cli` composes everything, except what is there for tests alone.
        let may = |name: &str| match &allowed {
            Known::Everything => {
                !matches!(name, TESTKIT | CRASHES | CHAOS | FAULTS | "load" | "xtask")
            }
            Known::These(names) => names.contains(&name),
        };
        for name in member.knows.iter().filter(|name| !may(name)) {
            let text = format!("{} must not know {name}", member.name);
            findings.push(Finding::error(&member.manifest, 0, text));
        }
        for name in &member.tests_know {
            // The tests of legacy run the services beside it and compare.
            let compares =
                member.name == LEGACY && (SPINE.contains(&name.as_str()) || name == FRAME);
            let measures = member.name == "cli" && matches!(name.as_str(), "load" | CHAOS);
            if may(name) || name == TESTKIT || compares || measures {
                continue;
            }
            let text = format!("the tests of {} must not know {name}", member.name);
            findings.push(Finding::error(&member.manifest, 0, text));
        }
    }
    findings
}

enum Known<'a> {
    Everything,
    These(Vec<&'a str>),
}

fn allowed<'a>(member: &Member, services: &[&'a str]) -> Option<Known<'a>> {
    let these = |names: &[&'static str]| Some(Known::These(names.to_vec()));
    match member.name.as_str() {
        "contracts" | "database-derive" | FAULTS | "xtask" => these(&[]),
        "database" => these(&["database-derive", FAULTS]),
        "bus" => these(&["contracts"]),
        "chassis" => these(&["contracts", "database"]),
        "event-store" => these(&["bus", "chassis", "contracts", "database", FAULTS]),
        "sagas" => these(&[
            "bus",
            "chassis",
            "contracts",
            "database",
            "event-store",
            FAULTS,
        ]),
        // A service in small, and no service.
        CRASHES => Some(Known::These([SPINE, &[FAULTS]].concat())),
        // It strangles anybody's monolith: no service, and nothing of how ours work together.
        "gateway" => these(&["bus", "chassis", "contracts", "database", "event-store"]),
        FRAME => these(SPINE),
        TESTKIT => these(&["contracts", "database"]),
        "cli" => Some(Known::Everything),
        // It knows the system by its public API and its verbs; what it starts is started for
        // measuring, on the servers that tests stand on.
        "load" => these(&["contracts", TESTKIT]),
        // It starts what is shipped, plays as clients do, and reads the databases afterwards.
        CHAOS => these(&["contracts", "database", "event-store", "load", TESTKIT]),
        // It plays the monolith that the services were cut from: their pure domain functions, and
        // nothing of events.
        LEGACY => {
            let others = services.iter().filter(|service| **service != LEGACY);
            let shared = ["chassis", "contracts", "database"];
            Some(Known::These(
                shared.into_iter().chain(others.copied()).collect(),
            ))
        }
        _ if member.is_service => {
            Some(Known::These(SPINE.iter().copied().chain([FRAME]).collect()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::texts;

    fn member(name: &str, knows: &[&str], tests_know: &[&str]) -> Member {
        let is_service = matches!(name, "legacy" | "quiz" | "auth");
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Member {
            name: name.to_owned(),
            manifest: format!("{name}/Cargo.toml"),
            is_service,
            knows: owned(knows),
            tests_know: owned(tests_know),
            is_armed: false,
        }
    }

    fn findings(members: &[Member]) -> Vec<String> {
        texts(&check(members))
    }

    #[test]
    fn what_the_design_allows_is_fine() {
        let members = [
            member("contracts", &[], &[]),
            member(
                "quiz",
                &["chassis", "contracts", "bus", "event-store", "sagas"],
                &["testkit"],
            ),
            member("auth", &["chassis", "contracts", "database"], &["testkit"]),
            member(
                "legacy",
                &["chassis", "quiz", "auth"],
                &["event-store", "testkit"],
            ),
            member("gateway", &["chassis", "event-store"], &["testkit"]),
            member("cli", &["gateway", "quiz", "legacy"], &["testkit", "load"]),
            member("load", &["contracts", "testkit"], &[]),
        ];
        assert_eq!(findings(&members), Vec::<String>::new());
    }

    #[test]
    fn a_service_that_knows_another_is_found() {
        let members = [
            member("auth", &[], &[]),
            member("quiz", &["auth"], &["auth"]),
        ];
        assert_eq!(
            findings(&members),
            [
                "error: quiz/Cargo.toml: quiz must not know auth",
                "error: quiz/Cargo.toml: the tests of quiz must not know auth"
            ]
        );
    }

    #[test]
    fn a_gateway_that_knows_a_service_or_sagas_is_found() {
        assert_eq!(
            findings(&[member("gateway", &["quiz", "sagas"], &[])]).len(),
            2
        );
    }

    #[test]
    fn contracts_that_know_anybody_are_found() {
        assert_eq!(
            findings(&[member("contracts", &["database"], &[])]).len(),
            1
        );
    }

    #[test]
    fn legacy_that_learns_of_events_is_found() {
        assert_eq!(
            findings(&[member("legacy", &["event-store", "bus"], &[])]).len(),
            2
        );
    }

    #[test]
    fn testkit_outside_tests_is_found() {
        assert_eq!(findings(&[member("cli", &["testkit"], &[])]).len(), 1);
        assert_eq!(findings(&[member("quiz", &["testkit"], &[])]).len(), 1);
        assert_eq!(findings(&[member("cli", &["load"], &[])]).len(), 1);
        assert_eq!(findings(&[member("load", &["gateway"], &[])]).len(), 1);
    }

    #[test]
    fn a_program_that_is_built_with_faults_is_found() {
        let mut quiz = member("quiz", &[], &[]);
        let mut crashes = member("crashes", &["faults"], &[]);
        (quiz.is_armed, crashes.is_armed) = (true, true);
        assert_eq!(
            findings(&[quiz, crashes]),
            ["error: quiz/Cargo.toml: quiz must not be built with faults: only its tests"]
        );
        assert_eq!(findings(&[member("cli", &["crashes"], &[])]).len(), 1);
    }

    #[test]
    fn a_package_without_a_rule_is_found() {
        assert_eq!(
            findings(&[member("surprise", &[], &[])]),
            ["error: surprise/Cargo.toml: no rule says whom surprise may know: add one to `tidy`"]
        );
    }
}
