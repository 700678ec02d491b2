//! A delete against the writers of every field.

use std::collections::BTreeMap;

use tidelog_core::catalog::OnDelete;

use super::{Turn, is_full, side};
use crate::oracle::past::Did;
use crate::oracle::rules::{Choice, Content, name_of};

impl Turn<'_> {
    pub(super) fn delete(&mut self) -> Did {
        // Each concurrent writer of each field, with the field's value.
        let mut met = Vec::new();
        for (field, stored) in self.live() {
            let opponents = self.opponents(&stored);
            if is_full(&stored) && !opponents.is_empty() {
                self.note("delete: meets the most contributors");
            }
            for opponent in opponents {
                met.push((field.clone(), opponent, stored.value.clone()));
            }
        }
        if met.is_empty() {
            self.note("delete without opponents");
            return Did::Deleted;
        }
        let table_rule = self.table_rule();
        let (name, by_word) = match self.table.on_delete {
            OnDelete::Rule => (name_of(&table_rule), None),
            OnDelete::DeleteWins => (OnDelete::DeleteWins.to_string(), Some(Choice::OpWins)),
            OnDelete::UpdateWins => (OnDelete::UpdateWins.to_string(), Some(Choice::StoredStays)),
            OnDelete::Manual => (OnDelete::Manual.to_string(), Some(Choice::PersonChooses)),
        };
        let judged = met.iter().map(|(_, opponent, value)| {
            let by_rule = || self.decide(&table_rule, opponent, Content::Value(value.clone()), Content::Deleted);
            (opponent, by_word.unwrap_or_else(by_rule))
        });
        // The latest writer that won. If it won in several fields: one where a person chooses.
        let beaten_by = judged.filter(|(_, choice)| *choice != Choice::OpWins);
        let beaten_by = beaten_by.max_by_key(|(opponent, choice)| (opponent.event.position, *choice));
        let choice = beaten_by.map_or(Choice::OpWins, |(_, choice)| choice);
        let winner = beaten_by.map(|(opponent, _)| *opponent);
        self.note(format!("on_delete {}: delete: {name} {choice:?}", self.table.on_delete));
        match winner {
            Some(winner) => {
                self.make_conflict("", &name, choice, Some(side(winner, None)), self.own(None));
                self.lost_whole = true;
                Did::Nothing
            }
            None => {
                // The opponents of a field are in the order of their age, so the last one of each field is the newest.
                let newest: BTreeMap<_, _> =
                    met.into_iter().map(|(field, step, value)| (field, (step, value))).collect();
                for (field, (opponent, value)) in newest {
                    let loser = side(opponent, Some(&value));
                    self.make_conflict(&field, &name, choice, Some(self.own(None)), loser);
                }
                Did::Deleted
            }
        }
    }
}
