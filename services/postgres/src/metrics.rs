//! The form in which services declare their metrics.

/// Declares a struct of metrics that registers itself: the doc comment of each is its help text, so that what the code
/// says of a metric and what Prometheus shows cannot differ.
///
/// `struct Name { /// help
///  field: Type("tidelog_name", ["label"]), }` with the vector types of the `prometheus` crate and the caller's buckets.
#[macro_export]
macro_rules! metrics {
    ($(#[$doc:meta])* $vis:vis struct $name:ident {
        $($(#[doc = $help:literal])+ $field:ident: $kind:ident($metric:literal, [$($label:literal),*] $(, $buckets:expr)?),)*
    }) => {
        $(#[$doc])*
        #[derive(Clone)]
        $vis struct $name {
            $($(#[doc = $help])+ pub $field: prometheus::$kind,)*
        }

        impl $name {
            /// Makes the metrics and registers them. Fails if a name is taken.
            pub fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
                $(
                    let help = concat!($($help),+).trim();
                    let $field = $crate::metrics!(@make $kind, $metric, help, [$($label),*] $(, $buckets)?)?;
                    registry.register(Box::new($field.clone()))?;
                    let labels: &[&str] = &[$($label),*];
                    if labels.is_empty() {
                        // Shown as 0 from the start, not from its first use on.
                        let _ = $field.with_label_values::<&str>(&[]);
                    }
                )*
                Ok(Self { $($field),* })
            }
        }
    };
    (@make HistogramVec, $metric:literal, $help:ident, [$($label:literal),*], $buckets:expr) => {
        prometheus::HistogramVec::new(prometheus::HistogramOpts::new($metric, $help).buckets($buckets), &[$($label),*])
    };
    (@make $kind:ident, $metric:literal, $help:ident, [$($label:literal),*]) => {
        prometheus::$kind::new(prometheus::Opts::new($metric, $help), &[$($label),*])
    };
}
