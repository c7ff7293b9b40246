//! runbooks/retire-legacy-routes.md: a plan; the monolith is stopped, and nobody misses it.

use std::os::unix::fs::PermissionsExt;

use reqwest::StatusCode;

use super::Drill;
use crate::{distributed::System, player::Player};

/// What the operator does in the editor: each candidate becomes the only side, flags go, and every
/// path that is left has an owner.
const EDITS: &str = r#"#!/bin/sh
awk '
  /^\[flags/ { skipping = 1 }
  /^\[\[/ || /^\[upstreams/ { skipping = 0 }
  skipping { next }
  /^legacy = / { held = $0; next }
  /^candidate = / { sub("candidate", "legacy"); print; held = ""; next }
  /^(flag|fallback) = / { next }
  held != "" { print held; held = "" }
  { print }
  END { if (held != "") print "legacy = \"question\"" }
' "$1" > "$1.edited"
cat >> "$1.edited" <<'ROUTES'
[[routes]]
id = "curation"
prefix = "/api/admin/questions"
legacy = "admin"
[[routes]]
id = "maintenance"
prefix = "/api/admin/maintenance"
legacy = "maintenance"
[[routes]]
id = "users"
prefix = "/api/admin/users"
legacy = "auth"
[[routes]]
id = "keys"
prefix = "/.well-known"
legacy = "auth"
ROUTES
mv "$1.edited" "$1"
"#;

#[tokio::test]
async fn retire_legacy_routes() {
    let mut drill = Drill::on("retire-legacy-routes.md", System::start()).await;
    let (folder, gateway) = {
        let system = drill.system().await;
        (system.folder().to_owned(), system.url("gateway"))
    };
    let editor = folder.join("edit");
    std::fs::write(&editor, EDITS).expect("a writable folder");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&editor, executable).expect("our own file");
    drill.variable("EDITOR", &editor.display().to_string());
    drill.look().await;
    drill.act().await;
    drill.verify().await;
    assert!(!drill.system().await.process("legacy").is_running());
    // Somebody new registers, plays, and asks for what the monolith had.
    let player = Player::register(&gateway, "Newcomer").await;
    let question = player.questions().await.swap_remove(0);
    let answer = player.answer(&question, "without the monolith").await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
    assert_eq!(player.get("/api/stats/me").await["answered"], 1);
    player.get("/.well-known/jwks.json").await;
    let nowhere = reqwest::get(format!("{gateway}/nowhere")).await;
    assert_eq!(nowhere.expect("an answer").status(), StatusCode::NOT_FOUND);
    drill.undo().await;
    drill.end().await;
}
