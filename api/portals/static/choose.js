// Rows chosen in a list: counts them, shows what can be done with them, Shift chooses a range.

const form = document.getElementById("chosen");
if (form) {
  const boxes = [...form.querySelectorAll("[data-one]")];
  const all = form.querySelector("[data-all]");
  const bulk = form.querySelector(".bulk");
  const count = form.querySelector("[data-count]");
  let last = -1;
  const show = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    bulk.hidden = chosen === 0;
    count.textContent = chosen;
    all.checked = chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  boxes.forEach((box, place) =>
    box.addEventListener("click", (event) => {
      if (event.shiftKey && last >= 0) {
        const [from, to] = [Math.min(last, place), Math.max(last, place)];
        for (const between of boxes.slice(from, to + 1)) between.checked = box.checked;
      }
      last = place;
      show();
    }),
  );
  addEventListener("pageshow", show);
}
