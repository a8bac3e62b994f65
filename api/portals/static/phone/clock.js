// The business clock as the phone knows it without a network: the server's last word and what has passed since.

let offset = 0;

export function setOffset(ms) {
  offset = ms;
}

export const now = () => Date.now() + offset;
