//! Definitions by themselves.

use std::time::Duration;

use sagas::{Definition, DefinitionFault, Retry, Step};

#[test]
fn pauses_double_up_to_the_longest() {
    let retry = Retry::new(9, Duration::from_secs(1), Duration::from_secs(5));
    let pauses: Vec<_> = (1..5)
        .map(|attempt| retry.pause(attempt).as_secs())
        .collect();
    assert_eq!(pauses, [1, 2, 4, 5]);
    assert_eq!(retry.pause(u32::MAX), Duration::from_secs(5));
    assert!(retry.allows_after(8) && !retry.allows_after(9));
}

#[test]
fn faults_name_the_definition_and_the_step() {
    assert_eq!(
        Definition::new("d", 1).check(),
        Err(DefinitionFault::Empty("d"))
    );
    let twice = Definition::new("d", 1)
        .step(Step::local("a"))
        .parallel([Step::ask("a")]);
    assert_eq!(twice.check(), Err(DefinitionFault::Duplicate("d", "a")));
    let never = Step::ask("a").retry(Retry::new(0, Duration::ZERO, Duration::ZERO));
    assert_eq!(
        Definition::new("d", 1).step(never).check(),
        Err(DefinitionFault::Attempts("d", "a"))
    );
}
