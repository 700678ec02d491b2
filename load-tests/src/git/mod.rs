//! Reads git repositories with the `git` command, in a way that no setting of the user can change what is read.

#[cfg(test)]
mod fixture;
mod history;
mod raw_log;
mod repository;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use raw_log::{Change, Commit};
pub(crate) use repository::{CommitId, Repository};
pub(crate) use tree::Tree;
