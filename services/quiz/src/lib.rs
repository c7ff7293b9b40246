//! quiz
