// What a person would see of the page: text that overlaps, text that is hard to read, pictures without a size.
() => {
  const clipped = (element, rect) => {
    let box = { left: rect.left, right: rect.right, top: rect.top, bottom: rect.bottom };
    for (let up = element; up; up = up.parentElement) {
      const style = getComputedStyle(up);
      if (style.overflowX === "visible" && style.overflowY === "visible") continue;
      const own = up.getBoundingClientRect();
      box = { left: Math.max(box.left, own.left), right: Math.min(box.right, own.right),
              top: Math.max(box.top, own.top), bottom: Math.min(box.bottom, own.bottom) };
    }
    return box;
  };
  const boxes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("title, desc, style, .hidden, .skip")) continue;
    if (element.closest("details:not([open]) > :not(summary)")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const inGraphic = element instanceof SVGElement;
    const rects = inGraphic ? [element.getBoundingClientRect()] : [...range.getClientRects()];
    for (const rect of rects) {
      const box = clipped(element, rect);
      if (box.right - box.left > 1 && box.bottom - box.top > 1) boxes.push({ ...box, node, element, text: node.data.trim() });
    }
  }
  const overlaps = [];
  boxes.sort((a, b) => a.top - b.top);
  for (let i = 0; i < boxes.length; i++)
    for (let j = i + 1; j < boxes.length; j++) {
      const a = boxes[i], b = boxes[j];
      if (b.top > a.bottom) break;
      if (a.node === b.node) continue;
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      const slack = 0.3 * Math.min(a.bottom - a.top, b.bottom - b.top);  // boxes of lines are higher than letters
      if (wide > 2 && high > slack) overlaps.push(`'${a.text.slice(0, 30)}' and '${b.text.slice(0, 30)}'`);
    }
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colours) => {  // the last one lies on top
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const brightness = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  for (const { element, text } of boxes) {
    const style = getComputedStyle(element), grounds = [];
    for (let up = element; up; up = up.parentElement) grounds.unshift(getComputedStyle(up).backgroundColor);
    const ground = over(["white", ...grounds]);
    const letter = over([`rgb(${ground})`, element instanceof SVGElement ? style.fill : style.color]);
    const [low, high] = [brightness(ground), brightness(letter)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) faint.push(`'${text.slice(0, 30)}' ${contrast.toFixed(2)}`);
  }
  const pictures = [...document.querySelectorAll("figure svg, .examples img, .examples svg")];
  const empty = pictures.filter((one) => {
    const box = one.getBoundingClientRect();
    const drawn = one.tagName === "IMG" ? one.complete && one.naturalWidth > 0 : one.querySelector("path") !== null;
    return box.width < 20 || box.height < 10 || !drawn;
  }).length;
  return {
    overlaps, faint, empty, pictures: pictures.length, texts: boxes.length,
    wide: document.documentElement.scrollWidth - window.innerWidth,
  };
}
