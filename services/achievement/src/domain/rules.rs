//! The table of all badges. A condition is a pure function in the module of its kind, beside its
//! tests; the order of the table is the order in which badges are shown.

mod accuracy;
mod comebacks;
mod days;
mod hours;
mod modes;
mod streaks;
mod topics;
mod totals;

use super::badge::Rule;

/// Every badge there is.
pub const BADGES: &[Rule] = &[
    // Totals.
    Rule::new(
        "first-answer",
        "Hello, World",
        "Answer your first question.",
        totals::first_answer,
    ),
    Rule::new(
        "first-correct",
        "It Compiles",
        "Get a question right.",
        totals::first_correct,
    ),
    Rule::new(
        "answers-10",
        "Warm-Up",
        "Answer 10 questions.",
        totals::ten_answers,
    ),
    Rule::new(
        "answers-50",
        "Steady Load",
        "Answer 50 questions.",
        totals::fifty_answers,
    ),
    Rule::new(
        "answers-100",
        "Status 100",
        "Answer 100 questions.",
        totals::hundred_answers,
    ),
    Rule::new(
        "answers-500",
        "High Throughput",
        "Answer 500 questions.",
        totals::five_hundred,
    ),
    Rule::new(
        "answers-1000",
        "Kilo-Ops",
        "Answer 1000 questions.",
        totals::thousand_answers,
    ),
    Rule::new(
        "correct-100",
        "Century",
        "Get 100 questions right.",
        totals::hundred_correct,
    ),
    // Streaks.
    Rule::new(
        "streak-3",
        "Warm Cache",
        "Get 3 in a row right.",
        streaks::three,
    ),
    Rule::new(
        "streak-5",
        "Pipelined",
        "Get 5 in a row right.",
        streaks::five,
    ),
    Rule::new(
        "streak-10",
        "Keep-Alive",
        "Get 10 in a row right.",
        streaks::ten,
    ),
    Rule::new(
        "streak-25",
        "Zero Downtime",
        "Get 25 in a row right.",
        streaks::twenty_five,
    ),
    Rule::new(
        "streak-50",
        "Formally Verified",
        "Get 50 in a row right.",
        streaks::fifty,
    ),
    // Accuracy.
    Rule::new(
        "accuracy-80",
        "Reliable",
        "Have at least 80 % right, over 50 answers or more.",
        accuracy::eighty_percent,
    ),
    Rule::new(
        "accuracy-90",
        "One Nine",
        "Have at least 90 % right, over 100 answers or more.",
        accuracy::ninety_percent,
    ),
    // Topics and difficulty.
    Rule::new(
        "node-specialist",
        "Event Loop Regular",
        "Get 20 Node.js questions right.",
        topics::node,
    ),
    Rule::new(
        "rust-specialist",
        "On Terms with the Borrow Checker",
        "Get 20 Rust questions right.",
        topics::rust,
    ),
    Rule::new(
        "databases-specialist",
        "Third Normal Form",
        "Get 20 database questions right.",
        topics::databases,
    ),
    Rule::new(
        "networking-specialist",
        "Packet Reader",
        "Get 20 networking questions right.",
        topics::networking,
    ),
    Rule::new(
        "distributed-systems-specialist",
        "Quorum Member",
        "Get 20 distributed systems questions right.",
        topics::distributed_systems,
    ),
    Rule::new(
        "all-categories",
        "Full Stack",
        "Get a question right in each of the five categories.",
        topics::all_categories,
    ),
    Rule::new(
        "hard-first",
        "Deep End",
        "Get a hard question right.",
        topics::first_hard,
    ),
    Rule::new(
        "hard-25",
        "Kernel Mode",
        "Get 25 hard questions right.",
        topics::hard_25,
    ),
    Rule::new(
        "all-difficulties",
        "Load Balanced",
        "Get an easy, a medium and a hard question right.",
        topics::all_difficulties,
    ),
    // Modes.
    Rule::new(
        "classic-first",
        "Opening Move",
        "Answer in classic mode.",
        modes::classic_first,
    ),
    Rule::new(
        "timed-first",
        "Deadline Set",
        "Answer in timed mode.",
        modes::timed_first,
    ),
    Rule::new(
        "survival-first",
        "Sudden Death",
        "Answer in survival mode.",
        modes::survival_first,
    ),
    Rule::new(
        "classic-25",
        "Classicist",
        "Answer 25 times in classic mode.",
        modes::classic_25,
    ),
    Rule::new(
        "timed-25",
        "Real-Time System",
        "Answer 25 times in timed mode.",
        modes::timed_25,
    ),
    Rule::new(
        "survival-25",
        "Survivor",
        "Answer 25 times in survival mode.",
        modes::survival_25,
    ),
    Rule::new(
        "all-modes",
        "Multi-Modal",
        "Answer in every quiz mode.",
        modes::all_modes,
    ),
    // Hours and days of the week.
    Rule::new(
        "night-owl",
        "Night Owl",
        "Answer between 0:00 and 5:00 UTC.",
        hours::night_owl,
    ),
    Rule::new(
        "early-bird",
        "Early Bird",
        "Answer between 5:00 and 8:00 UTC.",
        hours::early_bird,
    ),
    Rule::new(
        "lunch-break",
        "Lunch Break",
        "Answer between 12 and 13 UTC.",
        hours::lunch_break,
    ),
    Rule::new(
        "weekend",
        "On Call",
        "Answer on a Saturday or Sunday (UTC).",
        hours::weekend,
    ),
    Rule::new(
        "leap-day",
        "Edge Case",
        "Answer on a 29 February (UTC).",
        hours::leap_day,
    ),
    // Days.
    Rule::new(
        "perfect-day",
        "Green Build",
        "Get the first 10 questions of a day right.",
        days::perfect_day,
    ),
    Rule::new(
        "marathon",
        "Long-Running Job",
        "Answer 50 times in one day.",
        days::marathon,
    ),
    Rule::new(
        "daily-3",
        "Heartbeat",
        "Answer on 3 days in a row.",
        days::three_in_a_row,
    ),
    Rule::new(
        "daily-7",
        "Weekly Rhythm",
        "Answer on 7 days in a row.",
        days::seven_in_a_row,
    ),
    Rule::new(
        "daily-30",
        "Uptime",
        "Answer on 30 days in a row.",
        days::thirty_in_a_row,
    ),
    Rule::new(
        "days-30",
        "Long-Term Support",
        "Answer on 30 different days.",
        days::thirty_days,
    ),
    // Comebacks.
    Rule::new(
        "comeback",
        "Failover",
        "Get 5 in a row right directly after 5 in a row wrong.",
        comebacks::after_five,
    ),
    Rule::new(
        "great-comeback",
        "Disaster Recovery",
        "Get 10 in a row right directly after 10 in a row wrong.",
        comebacks::after_ten,
    ),
    Rule::new(
        "redemption",
        "Regression Test",
        "Get a question right that you had wrong before.",
        comebacks::redemption,
    ),
    Rule::new(
        "redemption-10",
        "Root Cause Analysis",
        "Make good 10 questions that you had wrong before.",
        comebacks::ten_redemptions,
    ),
    Rule::new(
        "cold-start",
        "Cold Start",
        "Come back after 30 days or more without an answer.",
        comebacks::cold_start,
    ),
];
