// "Recompute now": the browser hashes leaves, trees and documents again and compares them with the chain's record.
// The trees are OpenZeppelin's StandardMerkleTree: double keccak of the ABI encoding, the smaller child first.

import { keccak_256 as keccak } from "./npm/noble-hashes/sha3.js";

const WORD = 32;
const hex = (bytes) => `0x${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
const bytesOf = (text) => new TextEncoder().encode(text);

/** abi.encode(uint32 index, uint64 time, int32 lat, int32 lon), hashed twice. */
export function leafHash([index, time, lat, lon]) {
  const encoded = new Uint8Array(4 * WORD);
  const view = new DataView(encoded.buffer);
  view.setUint32(WORD - 4, index);
  view.setBigUint64(2 * WORD - 8, BigInt(time));
  [lat, lon].forEach((value, place) => {
    if (value < 0) encoded.fill(0xff, (2 + place) * WORD, (3 + place) * WORD);
    view.setInt32((3 + place) * WORD - 4, value);
  });
  return keccak(keccak(encoded));
}

function less(left, right) {
  for (let at = 0; at < WORD; at++) if (left[at] !== right[at]) return left[at] < right[at];
  return false;
}

export function parentHash(left, right) {
  const both = new Uint8Array(2 * WORD);
  const [first, second] = less(left, right) ? [left, right] : [right, left];
  both.set(first);
  both.set(second, WORD);
  return keccak(both);
}

/** The tree's array: the root at 0, the leaves reversed at the end. */
export async function treeOf(leaves, onProgress = () => {}) {
  const nodes = new Array(Math.max(0, 2 * leaves.length - 1));
  for (let at = 0; at < leaves.length; at++) {
    nodes[nodes.length - 1 - at] = leafHash([at, ...leaves[at]]);
    if (at % 500 === 499) {
      onProgress(at / leaves.length);
      await new Promise((go) => setTimeout(go));
    }
  }
  for (let at = leaves.length - 2; at >= 0; at--) nodes[at] = parentHash(nodes[2 * at + 1], nodes[2 * at + 2]);
  return nodes;
}

export function pathOf(nodes, index) {
  const path = [];
  for (let at = nodes.length - 1 - index; at > 0; at = Math.floor((at - 1) / 2)) path.push(nodes[at % 2 ? at + 1 : at - 1]);
  return path;
}

const section = document.querySelector("[data-verify]");
if (section) {
  const words = JSON.parse(section.dataset.words);
  const list = section.querySelector("ul.verify");
  const bar = section.querySelector("progress");
  const button = section.querySelector("[data-run]");

  const tell = (name, holds, detail) => {
    const row = document.createElement("li");
    const chip = document.createElement("span");
    chip.className = `chip ${holds === null ? "plain" : holds ? "good" : "bad"}`;
    chip.textContent = `${holds === null ? "–" : holds ? "✓" : "✗"} ${holds === null ? words.none : holds ? words.match : words.differs}`;
    const text = document.createElement("span");
    const title = document.createElement("b");
    title.textContent = name;
    const more = document.createElement("div");
    more.className = "mono soft";
    more.textContent = detail;
    text.append(title, more);
    row.append(chip, text);
    row.dataset.holds = String(holds);
    list.append(row);
  };

  const drawPath = (nodes, leaves) => {
    const area = section.querySelector("[data-path]");
    const pick = area.querySelector("input");
    const line = area.querySelector(".path");
    area.hidden = false;
    pick.max = String(leaves.length - 1);
    const draw = () => {
      const index = Number(pick.value);
      let node = nodes[nodes.length - 1 - index];
      const steps = [`${words.leaf} ${index}: ${hex(node).slice(0, 12)}…`];
      for (const sibling of pathOf(nodes, index)) {
        node = parentHash(node, sibling);
        steps.push(`+ ${hex(sibling).slice(0, 10)}… → ${hex(node).slice(0, 10)}…`);
      }
      steps.push(`= ${words.merkle_root} ${hex(node).slice(0, 12)}… ${hex(node) === hex(nodes[0]) ? "✓" : "✗"}`);
      line.replaceChildren(...steps.map((step) => {
        const chip = document.createElement("span");
        chip.className = "chip tiny";
        chip.textContent = step;
        return chip;
      }));
    };
    pick.addEventListener("input", draw);
    draw();
  };

  button.addEventListener("click", async () => {
    button.setAttribute("aria-disabled", "true");
    list.replaceChildren();
    bar.hidden = false;
    bar.value = 2;
    const given = await (await fetch(section.dataset.verify)).json();
    const zh = document.documentElement.lang.startsWith("zh");
    const nodes = await treeOf(given.leaves, (share) => (bar.value = 5 + share * 60));
    const root = nodes.length ? hex(nodes[0]) : "";
    for (const one of given.attested) {
      const who = zh ? one.by : one.by_en;
      tell(`${words.root} · ${who}`, root === one.root, `${root.slice(0, 26)}… · ${given.leaves.length} ${words.fixes} · ${words.block} ${one.block}`);
    }
    if (!given.attested.length) tell(words.root, null, root);
    let good = 0;
    for (const [place, batch] of given.batches.entries()) {
      const tree = await treeOf(batch.leaves);
      good += tree.length && hex(tree[0]) === batch.root ? 1 : 0;
      bar.value = 65 + (place / given.batches.length) * 20;
    }
    tell(words.batches, given.batches.length ? good === given.batches.length : null, `${good} / ${given.batches.length}`);
    const hashes = (name) => given.attested.map((one) => one[name]);
    for (const [name, text, expected] of [
      ["policy", given.policy, hashes("policy")],
      ["findings", given.verdict, hashes("findings")],
      ["plan", given.plan, [given.plan_hash]],
    ]) {
      const own = hex(keccak(bytesOf(text)));
      tell(words[name], expected.length ? expected.every((one) => one === own) : null, `${own.slice(0, 34)}… · ${text.length} B`);
    }
    const documents = [...document.querySelectorAll("[data-document]")];
    let same = 0;
    for (const one of documents) {
      const answer = await fetch(`/v1/documents/${one.dataset.document}/content`);
      const digest = answer.ok ? await crypto.subtle.digest("SHA-256", await answer.arrayBuffer()) : new ArrayBuffer(0);
      same += hex(new Uint8Array(digest)) === one.dataset.sha256 ? 1 : 0;
    }
    tell(words.documents, documents.length ? same === documents.length : null, `${same} / ${documents.length}`);
    bar.value = 100;
    if (given.leaves.length) drawPath(nodes, given.leaves);
    button.removeAttribute("aria-disabled");
  });
}
