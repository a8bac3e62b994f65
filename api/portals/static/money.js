/** Yuan as typed to fen, without a float; null where it is no amount. */
export function fenOf(text) {
  const found = /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(text.trim().replaceAll(",", "").replace(/^(CN)?[¥￥]/, ""));
  return found ? Number(BigInt(found[1]) * 100n + BigInt((found[2] || "").padEnd(2, "0"))) : null;
}
