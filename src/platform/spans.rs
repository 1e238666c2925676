//! Whose a line in the log is: a call's, wherever what is done on its behalf runs.

use gatebook_events::identity::TenantId;
use tracing::Span;
use tracing::field::display;

/// Has the lines of the call that is answered say which tenant it is about.
pub fn concerns(tenant: &TenantId) {
    Span::current().record("tenant", display(tenant));
}

/// Work for another thread whose lines say whose they are.
pub fn on_behalf<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = Span::current();
    move || span.in_scope(work)
}
