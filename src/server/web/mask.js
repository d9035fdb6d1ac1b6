// Painting on a picture what may change. White where it was painted, in the picture's size.
const kLongest = 1024;  // pixels of the canvas that is painted on

export class MaskPainter {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext('2d');
    this.erase = false;
    this.size = 12;  // percent of the longer side
    this.last = null;
    this.cursor = {x: .5, y: .5};
    canvas.addEventListener('pointerdown', e => { canvas.setPointerCapture(e.pointerId); this.last = null; this.stroke(this.place(e)); });
    canvas.addEventListener('pointermove', e => { if (e.buttons) this.stroke(this.place(e)); });
    canvas.addEventListener('keydown', e => this.key(e));
  }

  reset(width, height) {
    const shrink = Math.min(1, kLongest / Math.max(width, height));
    this.canvas.width = Math.max(1, Math.round(width * shrink));
    this.canvas.height = Math.max(1, Math.round(height * shrink));
    this.full = {width, height};
    this.empty = true;
  }

  clear() { this.reset(this.full.width, this.full.height); }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return {x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height};
  }

  stroke(to) {
    const {pen, canvas} = this, from = this.last || to;
    pen.globalCompositeOperation = this.erase ? 'destination-out' : 'source-over';
    pen.lineWidth = this.size / 100 * Math.max(canvas.width, canvas.height);
    pen.lineCap = pen.lineJoin = 'round';
    pen.strokeStyle = '#f0288c';  // seen on every photo
    pen.beginPath();
    pen.moveTo(from.x * canvas.width, from.y * canvas.height);
    pen.lineTo(to.x * canvas.width + .01, to.y * canvas.height);
    pen.stroke();
    this.last = this.cursor = to;
    if (!this.erase) this.empty = false;
  }

  // Arrow keys move, with shift they draw a line; the space bar paints a dot.
  key(event) {
    const by = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!by && event.key !== ' ') return;
    event.preventDefault();
    const inside = v => Math.min(1, Math.max(0, v));
    if (by) this.cursor = {x: inside(this.cursor.x + .03 * by[0]), y: inside(this.cursor.y + .03 * by[1])};
    if (by && !event.shiftKey) { this.last = null; return; }
    if (!by) this.last = null;
    this.stroke(this.cursor);
  }

  // A PNG of the picture's size, or null where nothing is painted.
  async blob() {
    if (this.empty) return null;
    const full = document.createElement('canvas');
    full.width = this.full.width;
    full.height = this.full.height;
    const pen = full.getContext('2d');
    const fill = (colour, how) => {
      pen.globalCompositeOperation = how;
      pen.fillStyle = colour;
      pen.fillRect(0, 0, full.width, full.height);
    };
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.canvas, 0, 0, full.width, full.height);
    fill('#fff', 'source-in');
    fill('#000', 'destination-over');
    const alpha = pen.getImageData(0, 0, 1, 1);  // fails early where the canvas is too large
    return alpha && new Promise(done => full.toBlob(done, 'image/png'));
  }
}
