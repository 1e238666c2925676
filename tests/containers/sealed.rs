//! The binary under what a container imposes, without an engine: a root that can only be read and has no shell and no home, with
//! nothing in it but the binary and its libraries; a user that is nobody; no way to more rights; one folder to write to.

use std::path::Path;
use std::process::Command;

use crate::file;
use crate::instance::{Caller, Instance, claude, said};
use crate::nats;

/// Makes the root in a mount namespace of its own, which goes with its last process, and becomes the binary in it.
const SEAL: &str = r#"
    root=$1 data=$2 binary=$3
    shift 3
    mount -t tmpfs -o mode=755 none "$root"
    ldd "$binary" | grep -o '/[^ ]*' | while read -r library; do cp -L --parents "$library" "$root"; done
    mkdir -p "$root/data" "$root/usr/local/bin"
    touch "$root/usr/local/bin/gatebook"
    mount --bind "$binary" "$root/usr/local/bin/gatebook"
    chown 65532:65532 "$data"
    mount --bind "$data" "$root/data"
    mount -o remount,ro "$root"
    exec setpriv --no-new-privs chroot --userspec=65532:65532 "$root" /usr/local/bin/gatebook "$@"
"#;

/// The command in a sealed root, with the environment that the image has.
fn sealed(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", SEAL, "sh"]).arg(folder.join("root")).arg(folder.join("data"));
    command.arg(env!("CARGO_BIN_EXE_gatebook")).args(arguments);
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let image = file("Dockerfile");
    let environment = image.lines().find_map(|line| line.strip_prefix("ENV ")).expect("the image has an environment");
    command.envs(environment.split(' ').filter_map(|pair| pair.split_once('=')));
    command.env("GATEBOOK_LISTEN", "127.0.0.1:0");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_needs_no_more_than_its_image_gives_it() {
    let may =
        Command::new("unshare").args(["--mount", "sh", "-ec", "mount -t tmpfs none /mnt && chroot --userspec=65532:65532 / true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        return nats::not_run("the binary as in a container", "this user may not mount, or there is no unshare");
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["root", "data"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let first = Instance::of(sealed(folder.path(), &["serve"]));
    // Engines hand on their host's proxy, which does not lead to what runs in the container.
    let mut asks = sealed(folder.path(), &["health", "--url", &first.url]);
    let health = said(asks.env("HTTP_PROXY", "http://127.0.0.1:9").env("http_proxy", "http://127.0.0.1:9").output().unwrap());
    assert!(health.contains("\"ok\""), "{health}");
    let client = Caller::anyone(&first).post("/oauth/register", &claude(7777)).await;
    first.stop();

    let again = Instance::of(sealed(folder.path(), &["serve"]));
    let token = said(sealed(folder.path(), &["token", "--role", "admin", "--tenant", "default"]).output().unwrap());
    let events = Caller::anyone(&again).with(token.trim_end()).get("/authsec/audit/events").await;
    assert!(events.to_string().contains(client["client_id"].as_str().unwrap()), "{events}");
    said(sealed(folder.path(), &["rebuild", "--url", &again.url]).output().unwrap());
    said(sealed(folder.path(), &["backup", "/data/backup"]).output().unwrap());
    again.stop();
}
