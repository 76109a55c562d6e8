// The analyzer as the page sees it; the work is done in a worker, so that the page stays responsive.

export class Analyzer {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #last = 0;
  #broken = null;

  /**
   * Start the worker and load the networks.
   *
   * @param {{backend?: "wasm" | "webgpu", onProgress?: (fraction: number, text: string) => void}} options
   *     without a backend, the faster one is taken
   */
  static async open({ backend, onProgress } = {}) {
    const analyzer = new Analyzer();
    const about = await analyzer.#call("open", { backend }, [], ({ fraction, text }) => onProgress?.(fraction, text));
    return Object.assign(analyzer, about);
  }

  constructor() {
    this.#worker.onmessage = ({ data: { id, answer, failure, progress } }) => {
      const waiting = this.#waiting.get(id);
      if (!waiting) return; // was rejected when the worker broke
      const { resolve, reject, report } = waiting;
      if (progress) return report?.(progress);
      this.#waiting.delete(id);
      if (failure === undefined) resolve(answer);
      else reject(new Error(failure));
    };
    this.#worker.onerror = (event) => {
      this.#broken = new Error(event.message || "the page's worker did not start");
      for (const { reject } of this.#waiting.values()) reject(this.#broken);
      this.#waiting.clear();
    };
  }

  /** Take another classifier; rejects where there is none of that name. */
  async use(name) {
    this.model = await this.#call("use", name);
  }

  /**
   * The faces of a photo, largest first, in pixels of the upright photo:
   * { width, height, faces: [{ box, score, quality, landmarks, p_male }], error: null | { kind, message },
   * notes: [{ kind, message }], ms, model }.
   *
   * @param {Blob | ImageBitmap | HTMLVideoElement} source a bitmap is taken away
   */
  async analyze(source) {
    const upright = source instanceof HTMLVideoElement; // as films are: there is no time to turn each frame
    const bitmap = upright ? await createImageBitmap(source) : source;
    return this.#call("analyze", { source: bitmap, upright }, bitmap instanceof ImageBitmap ? [bitmap] : []);
  }

  #call(call, argument, transfer = [], report = null) {
    if (this.#broken) return Promise.reject(this.#broken);
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, report });
      this.#worker.postMessage({ id, call, argument }, transfer);
    });
  }
}
