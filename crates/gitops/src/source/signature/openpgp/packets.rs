//! From armoured text to the packets in it.

use std::io::Read as _;

use pgp::armor::{BlockType, Dearmor, DearmorOptions};
use pgp::errors::Error;
use pgp::packet::{Packet, PacketParser};

/// What a signature begins with.
pub(in super::super) const BEGIN: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END: &[u8] = b"-----END PGP SIGNATURE-----";
/// What keys begin with.
pub(in super::super) const BEGIN_KEYS: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END_KEYS: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// How long the armour of a signature may be. One of RSA with 8192 bits has less than 2 KiB.
const MOST_SIGNATURE_BYTES: usize = 16 << 10;
/// How many packets a block of keys may have.
const MOST_PACKETS: usize = 10_000;

/// The armour of keys that a text begins with, and what is after it. None if it does not begin with one.
pub(in super::super) fn block(text: &str) -> Option<Result<(&str, &str), String>> {
    text.starts_with(BEGIN_KEYS).then(|| {
        let end = text.find(END_KEYS).ok_or_else(|| format!("is cut short: {END_KEYS} is missing"))?;
        Ok(text.split_at(end + END_KEYS.len()))
    })
}

/// The packets of a signature's armour.
pub(super) fn of_signature(armour: &[u8]) -> Result<Vec<Packet>, String> {
    if armour.len() > MOST_SIGNATURE_BYTES {
        return Err(format!("it is longer than {MOST_SIGNATURE_BYTES} bytes"));
    }
    // What comes after the end is not read, and so is not accepted.
    match armour.windows(END.len()).position(|here| here == END) {
        Some(end) if armour[end + END.len()..].trim_ascii().is_empty() => all(armour, BlockType::Signature),
        Some(_) => Err("there is more than one".to_owned()),
        None => Err("it is cut short".to_owned()),
    }
}

/// The packets of an armour of keys.
pub(super) fn of_keys(armour: &str) -> Result<Vec<Packet>, String> {
    all(armour.as_bytes(), BlockType::PublicKey)
}

/// The library would say it with the whole text.
const DAMAGED: &str = "its armour is damaged";

fn all(armour: &[u8], kind: BlockType) -> Result<Vec<Packet>, String> {
    let options = DearmorOptions::new().set_limit(armour.len().saturating_add(1));
    let mut dearmor = Dearmor::with_options(armour, options);
    dearmor.read_header().map_err(|_| DAMAGED)?;
    if dearmor.typ != Some(kind) {
        return Err(format!("it is not a {kind}"));
    }
    let mut bytes = Vec::new();
    dearmor.read_to_end(&mut bytes).map_err(|_| DAMAGED)?;
    let mut packets = Vec::new();
    for packet in PacketParser::new(&bytes[..]) {
        match packet {
            Ok(Packet::Marker(_) | Packet::Padding(_) | Packet::Trust(_)) => {}
            Ok(packet) => packets.push(packet),
            Err(error) if is_to_be_ignored(&error) => {}
            Err(error) => return Err(said(&error)),
        }
        if packets.len() > MOST_PACKETS {
            return Err(format!("it has more than {MOST_PACKETS} packets"));
        }
    }
    Ok(packets)
}

/// Whether a packet is of a kind or version that is not known, and may be passed over.
fn is_to_be_ignored(error: &Error) -> bool {
    match error {
        Error::Unsupported { .. } => true,
        Error::InvalidPacketContent { source } => is_to_be_ignored(source),
        _ => false,
    }
}

/// What is wrong with a packet, without what that is in.
fn said(error: &Error) -> String {
    match error {
        Error::InvalidPacketContent { source } => said(source),
        error => error.to_string().chars().take(100).collect(),
    }
}
