//! Lets what is on its way arrive.

use tidelog_engine::{Batch, HttpRequest, HttpResult, Input, RequestId, StepId, StoreFault};

use crate::server::{Refusal, Served};
use crate::world::options::Mutant;
use crate::world::state::{Flying, Parked, World};

impl World {
    fn is_alive(&self, tab: usize, life: u64) -> bool {
        self.tabs[tab].life == life
    }

    /// Whether something can arrive now: a frozen tab takes nothing in.
    pub(crate) fn can_arrive(&self, flying: &Flying) -> bool {
        match flying {
            Flying::ToTab { tab, .. } | Flying::Load { tab, .. } => self.tabs[*tab].frozen_until <= self.now_ms,
            Flying::Commit { .. } | Flying::ToServer { .. } => true,
        }
    }

    pub(crate) fn deliver(&mut self, flying: Flying) {
        match flying {
            Flying::Load { tab, life, id, reads } => {
                if self.is_alive(tab, life) {
                    let place = &self.places[self.tabs[tab].place];
                    let mut rows = place.store.load(&reads);
                    if self.options.has(Mutant::HidesOverlay) {
                        for rows in &mut rows {
                            rows.retain(|(key, _)| key.store != tidelog_engine::StoreName::Pending);
                        }
                    }
                    self.input(tab, Input::Loaded(id, rows));
                }
            }
            Flying::Commit { tab, life, id, batch } => self.commit(tab, life, id, batch),
            Flying::ToServer { tab, life, id, request } => self.arrive(tab, life, id, request),
            Flying::ToTab { tab, life, input } => {
                if self.is_alive(tab, life) {
                    self.input(tab, input);
                }
            }
        }
    }

    fn commit(&mut self, tab: usize, life: u64, id: StepId, batch: Batch) {
        let place = self.tabs[tab].place;
        let answer = |input| Flying::ToTab { tab, life, input };
        if self.places[place].is_full && !self.is_calm {
            return self.flying.push(answer(Input::StoreFailed(id, StoreFault::Full)));
        }
        // A commit whose tab has crashed may still be done.
        if !self.is_alive(tab, life) && self.dice.happens(500) {
            return;
        }
        if !self.is_calm && self.dice.happens(5) {
            return self.flying.push(answer(Input::StoreFailed(id, StoreFault::Broken)));
        }
        if !self.places[place].store.allows(&batch) && !self.options.has(Mutant::IgnoresGuards) {
            return self.flying.push(answer(Input::Lost(id)));
        }
        let batch = self.mutated(batch);
        self.observe_commit(tab, &batch);
        let is_forgotten = self.options.has(Mutant::ForgetsCommits) && self.dice.happens(100);
        if !is_forgotten {
            self.places[place].before = self.places[place].store.clone();
            self.places[place].store.write(&batch);
        }
        // The commit may be done and its news lost.
        let news = if !self.is_calm && self.dice.happens(5) {
            Input::StoreFailed(id, StoreFault::Broken)
        } else {
            Input::Committed(id)
        };
        self.flying.push(answer(news));
    }

    /// A request at the server. It may have been lost before, its answer may be lost after, and it may come twice.
    fn arrive(&mut self, tab: usize, life: u64, id: RequestId, request: HttpRequest) {
        let faults = if self.is_calm { 0 } else { self.options.network_faults };
        let lost = Input::Http(id, HttpResult::NoAnswer);
        if self.dice.happens(faults) {
            self.note(|| format!("the request of tab {tab} is lost: {}", request.path));
            return self.flying.push(Flying::ToTab { tab, life, input: lost });
        }
        if self.dice.happens(faults) {
            let refusal =
                [(503, "unavailable"), (503, "commit_unknown"), (429, "rate_limited"), (401, "token_invalid")];
            // A twin that loses its token cannot tell which of the ops under the old name are its own.
            let refusals = if self.options.clones { &refusal[..3] } else { &refusal[..] };
            let (status, code) = *self.dice.pick(refusals);
            let is_done = code == "commit_unknown" && self.dice.happens(500);
            if is_done {
                let _ = self.serve(&request, true);
            }
            self.note(|| format!("the server refuses tab {tab} by {code}: {}", request.path));
            let input = Input::Http(id, Refusal::new(status, code).to_result());
            return self.flying.push(Flying::ToTab { tab, life, input });
        }
        if self.dice.happens(faults) {
            let _ = self.serve(&request, true);
        }
        match self.serve(&request, false) {
            Served::Answer(result) => {
                let shown = summary(&result);
                self.note(|| format!("tab {tab} asks {} and gets {shown}", request.path));
                let is_cut = self.dice.happens(faults);
                let input = if is_cut { lost } else { Input::Http(id, result) };
                self.flying.push(Flying::ToTab { tab, life, input });
            }
            Served::Wait => {
                let until = self.now_ms + 25_000;
                self.parked.push(Parked { tab, life, id, request, until });
            }
        }
        self.unpark();
    }

    fn serve(&mut self, request: &HttpRequest, is_last_call: bool) -> Served {
        self.server_now();
        let request = self.mutated_request(request);
        self.check_repeated(&request);
        let before = self.server.head();
        let served = self.server.serve(&request, is_last_call);
        self.observe_append(before);
        // The projector is behind, more or less.
        let events = if self.is_calm { usize::MAX / 2 } else { self.dice.below(8) };
        self.server.project(events);
        served
    }

    /// Answers the pulls that have something to tell now, or whose time is over.
    pub(crate) fn unpark(&mut self) {
        for parked in std::mem::take(&mut self.parked) {
            let is_over = parked.until <= self.now_ms;
            match self.server.serve(&parked.request, is_over) {
                Served::Answer(result) => {
                    let Parked { tab, life, id, .. } = parked;
                    self.flying.push(Flying::ToTab { tab, life, input: Input::Http(id, result) });
                }
                Served::Wait => self.parked.push(parked),
            }
        }
    }
}

fn summary(result: &HttpResult) -> String {
    match result {
        HttpResult::Answer { status: 200, body, .. } => format!("200, {} bytes", body.len()),
        HttpResult::Answer { status, body, .. } => format!("{status} {}", String::from_utf8_lossy(body)),
        HttpResult::NoAnswer => "nothing".to_owned(),
    }
}
