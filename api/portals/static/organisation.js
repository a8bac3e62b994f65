// An invitation is shown this once: as a link, and as a QR for the phone of the one who is meant.

import "./acts.js";
import { drawQr } from "./qr.js";

const made = document.querySelector("[data-invited]");
document.addEventListener("acted", async (event) => {
  if (!event.target.matches("[data-invite]")) return;
  const link = `${made.dataset.base}/door/invitation?token=${encodeURIComponent(event.detail.token)}`;
  made.querySelector("[data-link]").textContent = link;
  made.querySelector("[data-copy]").dataset.copy = link;
  await drawQr(made.querySelector("img"), link);
  made.hidden = false;
});
