//! An OCI image made of nothing but the machine's static busybox.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::Command,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::image::digest_of;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// Writes an OCI layout with one image, whose files are `/bin/busybox` of this machine (Debian's `busybox-static`) under all
/// of its names. A path that ends in `.tar` becomes a tar file, any other a directory.
///
/// The image's full name is `reference`, as in `localhost/busybox:1`; its default command is `sh`. The same busybox always gives
/// the same digest.
pub fn build_busybox_layout(path: &Path, reference: &str) -> io::Result<()> {
    if path.extension().is_none_or(|extension| extension != "tar") {
        return write_layout(path, reference);
    }
    let dir = path.with_extension("layout");
    write_layout(&dir, reference)?;
    let mut tar = Builder::new(fs::File::create(path)?);
    tar.append_dir_all("", &dir)?;
    tar.into_inner()?.sync_all()?;
    fs::remove_dir_all(dir)
}

fn write_layout(dir: &Path, reference: &str) -> io::Result<()> {
    fs::create_dir_all(dir.join("blobs/sha256"))?;
    let layer = layer()?;
    let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
    compressed.write_all(&layer)?;
    let compressed = compressed.finish()?;
    let arch = oci_spec::image::Arch::default().to_string();
    let config = json!({
        "architecture": arch,
        "os": "linux",
        "config": { "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": [digest_of(&layer)] },
    });
    let config = blob(dir, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
    let layer = blob(dir, "application/vnd.oci.image.layer.v1.tar+gzip", &compressed)?;
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer] })
            .to_string();
    let mut manifest = blob(dir, media_type, manifest.as_bytes())?;
    manifest["platform"] = json!({ "architecture": arch, "os": "linux" });
    let tag = reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    manifest["annotations"] =
        json!({ "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": tag });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(dir.join("index.json"), index.to_string())?;
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// Writes a blob; returns its descriptor.
fn blob(dir: &Path, media_type: &str, bytes: &[u8]) -> io::Result<Value> {
    let digest = digest_of(bytes);
    fs::write(dir.join("blobs").join(digest.replacen(':', "/", 1)), bytes)?;
    Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
}

fn layer() -> io::Result<Vec<u8>> {
    let busybox = fs::read("/bin/busybox")?;
    let applets = Command::new("/bin/busybox").arg("--list").output()?.stdout;
    let mut tar = Builder::new(Vec::new());
    for dir in ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "usr", "usr/bin", "var", "var/log"]
    {
        tar.append_data(&mut header(EntryType::Directory, 0, 0o755), dir, io::empty())?;
    }
    tar.append_data(&mut header(EntryType::Directory, 0, 0o1777), "tmp", io::empty())?;
    file(&mut tar, "bin/busybox", &busybox, 0o755)?;
    file(&mut tar, "etc/passwd", PASSWD.as_bytes(), 0o644)?;
    file(&mut tar, "etc/group", GROUP.as_bytes(), 0o644)?;
    for applet in String::from_utf8_lossy(&applets).lines().filter(|applet| *applet != "busybox") {
        let mut link = header(EntryType::Symlink, 0, 0o777);
        tar.append_link(&mut link, format!("bin/{applet}"), "busybox")?;
    }
    tar.into_inner()
}

fn file(tar: &mut Builder<Vec<u8>>, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Regular, bytes.len() as u64, mode), path, bytes)
}

fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}
