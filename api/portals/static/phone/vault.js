// The key on this phone: made here, sealed under a PIN, opened for one signature at a time. Nobody can reset
// the PIN; who forgets it makes a new key and has it bound again.

import { secp256k1 } from "../npm/noble-curves/secp256k1.js";
import { db } from "./store.js";
import { fromHex, keccak, toHex } from "./typed.js";

const ROUNDS = 600000; // PBKDF2-HMAC-SHA-256, as OWASP asks
const FREE_TRIES = 5; // then each wrong PIN doubles a pause

export class WrongPinError extends Error {
  constructor(left, waitMs) {
    super("wrong PIN");
    this.left = left;
    this.waitMs = waitMs;
  }
}

async function sealer(pin, salt, rounds) {
  const raw = await crypto.subtle.importKey("raw", new TextEncoder().encode(pin), "PBKDF2", false, ["deriveKey"]);
  return crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", salt, iterations: rounds },
    raw,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
}

export function addressOf(secret) {
  const open = secp256k1.getPublicKey(secret, false);
  const plain = toHex(keccak(open.slice(1)).slice(12)).slice(2);
  const marks = toHex(keccak(new TextEncoder().encode(plain))).slice(2);
  return "0x" + Array.from(plain, (c, at) => (parseInt(marks[at], 16) > 7 ? c.toUpperCase() : c)).join("");
}

// 65 bytes r, s, v with a low s, as the contracts want them.
export function signDigest(secret, digest) {
  const made = secp256k1.sign(digest, secret, { prehash: false, lowS: true, format: "recovered" });
  return toHex(made.slice(1)) + (27 + made[0]).toString(16);
}

async function seal(secret, pin, address) {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const key = await sealer(pin, salt, ROUNDS);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, secret);
  return { address, salt, iv, rounds: ROUNDS, sealed, wrong: 0, waitUntil: 0 };
}

// A new key under a PIN; a key that was here before is kept aside, not lost.
export async function makeKey(pin) {
  const secret = secp256k1.utils.randomSecretKey();
  const address = addressOf(secret);
  const record = await seal(secret, pin, address);
  secret.fill(0);
  const base = await db();
  const before = await base.get("vault", "key");
  if (before) await base.put("vault", before, `before-${before.address}`);
  await base.put("vault", record, "key");
  return address;
}

// A key that was given to this phone (the seat of a demo's driver), sealed as if it had been made here.
export async function takeKey(secretHex, pin) {
  const secret = fromHex(secretHex);
  const address = addressOf(secret);
  const record = await seal(secret, pin, address);
  secret.fill(0);
  await (await db()).put("vault", record, "key");
  return address;
}

export async function findKey() {
  const record = await (await db()).get("vault", "key");
  return record ? record.address : null;
}

async function open(pin) {
  const base = await db();
  const record = await base.get("vault", "key");
  if (!record) throw new Error("there is no key on this phone");
  const wait = record.waitUntil - Date.now();
  if (wait > 0) throw new WrongPinError(0, wait);
  const key = await sealer(pin, record.salt, record.rounds);
  try {
    const secret = await crypto.subtle.decrypt({ name: "AES-GCM", iv: record.iv }, key, record.sealed);
    if (record.wrong) await base.put("vault", { ...record, wrong: 0, waitUntil: 0 }, "key");
    return new Uint8Array(secret);
  } catch {
    const wrong = record.wrong + 1;
    const pause = wrong < FREE_TRIES ? 0 : 30000 * 2 ** Math.min(wrong - FREE_TRIES, 8);
    await base.put("vault", { ...record, wrong, waitUntil: pause ? Date.now() + pause : 0 }, "key");
    throw new WrongPinError(Math.max(FREE_TRIES - wrong, 0), pause);
  }
}

export async function signWith(pin, digests) {
  const secret = await open(pin);
  try {
    return digests.map((digest) => signDigest(secret, digest));
  } finally {
    secret.fill(0);
  }
}

export async function changePin(old, pin) {
  const secret = await open(old);
  const record = await seal(secret, pin, addressOf(secret));
  secret.fill(0);
  await (await db()).put("vault", record, "key");
}

// -- a key for one receipt, on a phone without an account: sealed by a key that cannot leave this browser ----

export async function makeGateKey() {
  const secret = secp256k1.utils.randomSecretKey();
  const sealing = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, sealing, secret);
  const record = { address: addressOf(secret), sealing, iv, sealed };
  secret.fill(0);
  return record;
}

export async function findGateKey(name) {
  return (await (await db()).get("vault", `gate-${name}`)) ?? null;
}

export async function keepGateKey(name, record) {
  await (await db()).put("vault", record, `gate-${name}`);
}

export async function signAtGate(record, digests) {
  const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: record.iv }, record.sealing, record.sealed);
  const secret = new Uint8Array(plain);
  try {
    return digests.map((digest) => signDigest(secret, digest));
  } finally {
    secret.fill(0);
  }
}
