//! The connection to Postgres: pool, transactions, migrations, durability, errors.

pub(crate) mod array_params;
pub(crate) mod durability;
pub(crate) mod error;
pub(crate) mod metrics;
pub(crate) mod migrate;
pub(crate) mod pool;
pub(crate) mod read_size;
pub(crate) mod rows;
pub(crate) mod transact;
