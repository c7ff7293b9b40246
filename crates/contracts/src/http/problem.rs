//! The shape of every error, for the documents that describe it.

bodies! {
    /// RFC 9457 problem details, `application/problem+json`. `code` is stable; what else a code
    /// comes with (`field`, `faults`, …) is told where the code is documented.
    ProblemBody {
        /// `urn:banyan:problem:{code}`, or the address of the page about the code.
        r#type: String,
        /// The status in words.
        title: String,
        /// The HTTP status.
        status: u16,
        /// Stable; what programs decide by.
        code: String,
        /// What happened, for people.
        detail: String,
        /// The request's trace.
        trace_id: Option<String>,
        /// The field at fault, where one is.
        field: Option<String>,
    }
}
