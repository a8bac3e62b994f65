// EIP-712 in the browser. What is signed is hashed from the definitions below, never from what a server sends
// along: a form it does not know, or one that differs from its own, is refused. A test holds these definitions
// equal to those of the contracts.

import { hmac } from "../npm/noble-hashes/hmac.js";
import { sha256 } from "../npm/noble-hashes/sha2.js";
import { keccak_256 } from "../npm/noble-hashes/sha3.js";

export const FORMS = {
  Waybill: "Waybill(bytes32 parent,uint64 issuer,uint64 performer,uint64 consignee,bytes32 shippingNote,bytes32 trip,bytes32 vehicle,uint128 freight,uint64 quantity,uint64 loadFrom,uint64 deliverBy,uint32 termDays,bytes32 plan,bytes32 policy,bytes32 document,uint64 expires,bytes32 salt)",
  Loading: "Loading(bytes32 trip,uint32 version,bytes32 vehicle,uint64 quantity,uint64 at,bytes32 document,uint64 expires,bytes32 salt)",
  PayeeConsent: "PayeeConsent(bytes32 advance,uint64 party,bytes32 account,uint64 expires,bytes32 salt)",
  Confirmation: "Confirmation(bytes32 trip,uint64 by,uint32 version,bytes32 vehicle,uint64 accepted,uint8 condition,bytes32 document,uint64 at,uint64 expires,bytes32 salt)",
  Dispute: "Dispute(bytes32 trip,uint64 by,bytes32 reason,uint64 expires,bytes32 salt)",
  PartyRegistration: "PartyRegistration(uint64 party,address key,bytes32 profile,uint64 expires,bytes32 salt)",
  KeyRotation: "KeyRotation(uint64 party,address newKey,uint64 expires,bytes32 salt)",
  KeyRecovery: "KeyRecovery(uint64 party,address newKey,uint64 expires,bytes32 salt)",
  ApiKeyRequest: "ApiKeyRequest(uint64 party,string scopes,string label,uint64 issuedAt,bytes32 salt)",  // pragma: allowlist secret
};

const DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

export class NotSignedError extends Error {}

const utf8 = (text) => new TextEncoder().encode(text);
export const toHex = (bytes) => "0x" + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
export function fromHex(text) {
  if (!/^0x([0-9a-fA-F]{2})*$/.test(text)) throw new NotSignedError("not hex");
  return Uint8Array.from(text.slice(2).match(/../g) || [], (pair) => parseInt(pair, 16));
}
function join(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
export const keccak = (bytes) => keccak_256(bytes);

export function members(definition) {
  const inside = definition.slice(definition.indexOf("(") + 1, -1);
  return inside.split(",").map((pair) => {
    const [type, name] = pair.split(" ");
    return { name, type };
  });
}

function word(type, value) {
  if (type === "string") return keccak(utf8(value));
  if (type === "bytes32" || type === "address") {
    const bytes = fromHex(value);
    if (bytes.length !== (type === "address" ? 20 : 32)) throw new NotSignedError(`${type} of another length`);
    return join(new Uint8Array(32 - bytes.length), bytes);
  }
  const bits = Number(type.slice(4));
  const number = BigInt(value);
  if (number < 0n || number >= 1n << BigInt(bits)) throw new NotSignedError(`${type} out of range`);
  return fromHex("0x" + number.toString(16).padStart(64, "0"));
}

function structHash(definition, message) {
  const words = members(definition).map(({ name, type }) => {
    if (!(name in message)) throw new NotSignedError(`the form lacks ${name}`);
    return word(type, message[name]);
  });
  return keccak(join(keccak(utf8(definition)), ...words));
}

// The 32 bytes that are signed.
export function digestOf(name, domain, message) {
  return keccak(join(fromHex("0x1901"), structHash(DOMAIN, domain), structHash(FORMS[name], message)));
}

// What a server has prepared, if it is a form of ours about exactly our members; pinned: the chain and the
// contracts this phone has met before.
export function readForm(toSign, pinned = null) {
  const name = toSign.primaryType ?? toSign.primary_type;
  if (!(name in FORMS)) throw new NotSignedError(`this phone knows no form ${name}`);
  const own = JSON.stringify(members(FORMS[name]).map(({ name: n, type }) => [n, type]));
  const theirs = JSON.stringify((toSign.types[name] || []).map(({ name: n, type }) => [n, type]));
  if (own !== theirs) throw new NotSignedError(`the server's ${name} is not the one this phone knows`);
  const { domain, message } = toSign;
  if (domain.name !== "Yundan" || domain.version !== "1") throw new NotSignedError("another product's form");
  if (pinned && pinned.chainId !== domain.chainId) throw new NotSignedError("a form for another chain");
  return { name, domain, message, digest: digestOf(name, domain, message) };
}

// -- documents: one hash over salted fields (chain/document.py) ---------------------------------------------

// RFC 8785 of what our documents hold: texts, integers, lists, objects.
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value && typeof value === "object") {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new NotSignedError("no whole number");
  return JSON.stringify(value);
}

export function documentHash(content, salt) {
  const bytes = fromHex(salt);
  const digests = {};
  for (const [name, value] of Object.entries(content)) {
    digests[name] = toHex(keccak(join(hmac(sha256, bytes, utf8(name)), utf8(canonical(value)))));
  }
  return toHex(keccak(utf8(canonical(digests))));
}

export function randomHex(size = 32) {
  return toHex(crypto.getRandomValues(new Uint8Array(size)));
}
