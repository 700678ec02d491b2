//! The macro with which the services declare their metrics.

/// Declares a struct of Prometheus metrics and a `register` function for it.
///
/// The doc comment of a field is the metric's help text, so the code and Prometheus cannot describe it differently. A
/// metric with labels has a vector type of the `prometheus` crate, and a metric without labels a plain type. The
/// buckets of a histogram are given.
///
/// ```text
/// struct Name {
///     /// The help text.
///     pulls: IntCounter("tidelog_pulls_total"),
///     /// The help text.
///     pushes: IntCounterVec("tidelog_pushes_total", ["table"]),
///     /// The help text.
///     seconds: Histogram("tidelog_push_seconds", buckets = latency_buckets()),
/// }
/// ```
#[macro_export]
macro_rules! metrics {
    ($(#[$doc:meta])* $vis:vis struct $name:ident {
        $($(#[doc = $help:literal])+ $field:ident: $kind:ident($metric:literal $(, [$($label:literal),+])? $(, buckets = $buckets:expr)?),)*
    }) => {
        $(#[$doc])*
        #[derive(Clone)]
        $vis struct $name {
            $($(#[doc = $help])+ pub $field: prometheus::$kind,)*
        }

        impl $name {
            /// Creates the metrics and registers them. Fails if the registry has a metric of the same name.
            pub fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
                $(
                    let help = concat!($($help),+).trim();
                    let $field = $crate::metrics!(@make $kind, $metric, help, [$($($label),+)?] $(, $buckets)?)?;
                    registry.register(Box::new($field.clone()))?;
                )*
                Ok(Self { $($field),* })
            }
        }
    };
    (@make Histogram, $metric:literal, $help:ident, [], $buckets:expr) => {
        prometheus::Histogram::with_opts(prometheus::HistogramOpts::new($metric, $help).buckets($buckets))
    };
    (@make HistogramVec, $metric:literal, $help:ident, [$($label:literal),+], $buckets:expr) => {
        prometheus::HistogramVec::new(prometheus::HistogramOpts::new($metric, $help).buckets($buckets), &[$($label),+])
    };
    (@make $kind:ident, $metric:literal, $help:ident, []) => {
        prometheus::$kind::with_opts(prometheus::Opts::new($metric, $help))
    };
    (@make $kind:ident, $metric:literal, $help:ident, [$($label:literal),+]) => {
        prometheus::$kind::new(prometheus::Opts::new($metric, $help), &[$($label),+])
    };
}
