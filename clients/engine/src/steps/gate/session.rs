//! The end of a user's session, and its return.

use crate::port::{CallId, Unsent};
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Meta, StoreName, Tx};

/// Ends the session. Without a command to discard them, unsent ops stay.
pub(crate) struct EndSession {
    pub(crate) call: CallId,
    pub(crate) unsent: Unsent,
}

impl Step for EndSession {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        tx.meta(Meta::device())?;
        tx.make_strict();
        if self.unsent == Unsent::Discard {
            for store in StoreName::ALL {
                tx.delete_under(store, Vec::new());
            }
        }
        tx.set_meta(Meta::signed_out(), &true);
        Ok(After::SignedOut(self.call))
    }
}

/// Goes on with the store of a session that had ended.
pub(crate) struct ResumeSession;

impl Step for ResumeSession {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        if tx.meta(Meta::signed_out())?.is_some() {
            tx.delete_meta(Meta::signed_out());
        }
        Ok(After::GateDue)
    }
}
