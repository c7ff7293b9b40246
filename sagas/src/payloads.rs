//! Payloads declared in one place, for teams whose events are in no shared catalogue.

/// Declares payloads of events by their names, types and fields, at schema version 1 and without
/// personal fields: for owners and participants whose events are in no shared catalogue.
///
/// ```
/// sagas::payloads! {
///     Asked = "order.asked" { goods: String },
/// }
/// # use contracts::Payload;
/// assert_eq!(Asked::TYPE, "order.asked");
/// ```
#[macro_export]
macro_rules! payloads {
    ($($name:ident = $event_type:literal { $($field:ident: $kind:ty),* $(,)? }),+ $(,)?) => {$(
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
        struct $name { $($field: $kind),* }

        impl contracts::Payload for $name {
            const TYPE: &'static str = $event_type;
            const SCHEMA_VERSION: i64 = 1;
            const PERSONAL: &'static [&'static str] = &[];
        }
    )+};
}
