//! Drills that take longer than 45 seconds, or that need what a test run may not have.

mod disk_full;
