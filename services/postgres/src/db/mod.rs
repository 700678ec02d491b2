//! The connection to Postgres: pool, transactions, statements and their parameters, migrations, durability, errors.

pub(crate) mod array_params;
pub(crate) mod columns;
pub(crate) mod durability;
pub(crate) mod error;
pub(crate) mod metrics;
pub(crate) mod migrate;
pub(crate) mod pool;
pub(crate) mod read_size;
pub(crate) mod transact;
