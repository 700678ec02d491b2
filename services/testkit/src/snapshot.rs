//! Snapshots of whole responses, without what differs from run to run.

use std::sync::Mutex;

use insta::Settings;
use tidelog_core::ids::{DeviceId, WorkspaceId};

/// What to write in place of the ids of one test's devices and workspaces.
#[derive(Default)]
pub(crate) struct Names(Mutex<Vec<(String, String)>>);

impl Names {
    pub(crate) fn add_device(&self, device: DeviceId, name: &str) {
        self.add(device.to_string(), name);
    }

    pub(crate) fn add_workspace(&self, workspace: WorkspaceId, name: &str) {
        self.add(workspace.to_string(), name);
    }

    fn add(&self, id: String, name: &str) {
        self.0.lock().expect("no test panics while it names a device").push((id, format!("[{name}]")));
    }

    /// Settings by which ids become names, times `[time]`, and the checks of cursors `[check]`.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        for (id, name) in self.0.lock().expect("no test panics while it names a device").iter() {
            settings.add_filter(id, name.as_str());
        }
        settings.add_filter(&DeviceId::SYSTEM.to_string(), "[server]");
        settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[time]");
        settings.add_filter(r"\b(\d+)\.[0-9a-f]{16}\b", "$1.[check]");
        settings
    }
}

/// Compares a response or a list of views with the snapshot file of the calling test, as YAML. The devices and workspaces
/// of the [`TestApp`](crate::TestApp) appear by their names, and times as `[time]`.
///
/// Where it differs, the test fails and writes `*.snap.new` beside the snapshot, unless `INSTA_UPDATE=no` as in CI.
/// `INSTA_UPDATE=always` takes what the test has seen as the new snapshot.
#[macro_export]
macro_rules! assert_snapshot_of {
    ($app:expr, $view:expr) => {{
        let view = &$view;
        $app.snapshot_settings().bind(|| $crate::insta::assert_yaml_snapshot!(view))
    }};
    ($app:expr, $name:expr, $view:expr) => {{
        let view = &$view;
        $app.snapshot_settings().bind(|| $crate::insta::assert_yaml_snapshot!($name, view))
    }};
}
