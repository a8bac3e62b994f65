// Photos made small on the phone: at most 1600 pixels, JPEG, without the camera's own notes (which hold places).

const MOST_FILE = 80 * 1024 * 1024;
const MOST_SIDE = 1600;
const MOST_BYTES = 1500 * 1024;

export class NoPhoto extends Error {
  constructor(code) {
    super(code);
    this.code = code; // a word of the catalogue
  }
}

async function isPicture(file) {
  const head = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  const text = String.fromCharCode(...head);
  return (
    (head[0] === 0xff && head[1] === 0xd8) ||
    text.startsWith("\x89PNG") ||
    (text.startsWith("RIFF") && text.slice(8) === "WEBP") ||
    text.slice(4, 8) === "ftyp" // HEIC and AVIF, where the browser can read them
  );
}

// The photo as it will be sent, with its SHA-256. What it is decides its content, never its name.
export async function preparePhoto(file) {
  if (file.size > MOST_FILE) throw new NoPhoto("ph_photo_too_large");
  if (!(await isPicture(file))) throw new NoPhoto("ph_photo_none");
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new NoPhoto("ph_photo_damaged");
  }
  const scale = Math.min(1, MOST_SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  for (const quality of [0.82, 0.65, 0.45]) {
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
    if (!blob) throw new NoPhoto("ph_photo_damaged");
    if (blob.size <= MOST_BYTES || quality === 0.45) return { blob, sha256: await sha256Of(blob), thumb: thumbOf(canvas) };
  }
  throw new NoPhoto("ph_photo_damaged");
}

// A picture of a few kilobytes, to be seen after the photo itself has left the phone.
function thumbOf(canvas) {
  const small = document.createElement("canvas");
  const scale = Math.min(1, 240 / Math.max(canvas.width, canvas.height));
  small.width = Math.max(1, Math.round(canvas.width * scale));
  small.height = Math.max(1, Math.round(canvas.height * scale));
  small.getContext("2d").drawImage(canvas, 0, 0, small.width, small.height);
  return small.toDataURL("image/jpeg", 0.6);
}

export async function sha256Of(blob) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return "0x" + Array.from(hash, (b) => b.toString(16).padStart(2, "0")).join("");
}
