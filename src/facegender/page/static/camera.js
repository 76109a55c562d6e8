// The webcam: boxes over the live picture. A frame is analysed only after the result of the one before.

import { box } from "./boxes.js";
import { $ } from "./dom.js";
import { counted, label, listed } from "./words.js";

const REFUSED = {
  NotAllowedError: "The browser was not allowed to use the webcam.",
  NotFoundError: "No webcam was found.",
  NotReadableError: "The webcam is in use by another program.",
};
/** Milliseconds between two announcements to screen readers. */
const CALM = 4000;

export class Camera {
  #video = $("camera-video");
  #stream = null;
  #announced = 0;

  /**
   * @param {{analyze: (video: HTMLVideoElement) => Promise<object>, confidence: () => number,
   *   keep: (file: File) => void, say: (text: string) => void}} page what the camera needs of the page
   */
  constructor(page) {
    this.page = page;
    $("camera-start").onclick = () => this.start();
    $("camera-stop").onclick = () => this.stop();
    $("camera-keep").onclick = () => this.#keep();
    document.addEventListener("visibilitychange", () => document.hidden && this.#stream && this.stop());
    window.addEventListener("pagehide", () => this.stop());
  }

  async start() {
    if (!navigator.mediaDevices) {
      this.page.say("This browser lets a page use the webcam only over https or on this machine itself.");
      return;
    }
    $("camera-start").disabled = true;
    let stream = null;
    try {
      const video = { facingMode: "user", width: { ideal: 1280 } };
      this.#stream = stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      if (document.hidden) return this.stop(); // the page was left before the webcam was there
      this.#video.srcObject = stream;
      $("camera").hidden = false;
      await this.#video.play();
    } catch (error) {
      if (stream !== this.#stream) return; // stopped meanwhile
      this.page.say(REFUSED[error.name] ?? `The webcam did not start: ${error.message}`);
      this.stop();
      return;
    }
    stream.getVideoTracks()[0].onended = () => this.stop();
    $("camera-stop").focus();
    await this.#watch(stream);
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    const focused = $("camera").contains(document.activeElement);
    this.#stream = this.#video.srcObject = null;
    $("camera-boxes").replaceChildren();
    $("camera").hidden = true;
    $("camera-start").disabled = $("choose").disabled; // where the networks could not be loaded
    if (focused) $("camera-start").focus();
  }

  async #watch(stream) {
    while (stream === this.#stream) {
      let result;
      try {
        result = await this.page.analyze(this.#video);
      } catch (error) {
        result = { faces: [], error };
      }
      if (stream !== this.#stream) return;
      if (result.error) {
        this.page.say(`The webcam's picture could not be analysed: ${result.error.message}`);
        return this.stop();
      }
      this.#show(result);
      await new Promise((next) => requestAnimationFrame(next));
    }
  }

  #show({ faces, ms, ...size }) {
    const labels = faces.map((face) => label(face, this.page.confidence()));
    const found = faces.length ? `${counted(faces.length, "face")}: ${listed(labels)}` : "No face";
    $("camera-boxes").replaceChildren(
      ...faces.map((face, k) => box(face, k + 1, labels[k], size, { mirrored: true })),
    );
    $("camera-frame").style.setProperty("--width", size.width);
    $("camera-frame").style.setProperty("--ratio", size.width / size.height);
    $("camera-now").textContent = `${found}. ${Math.round(ms.total)} ms a frame`;
    if (performance.now() - this.#announced < CALM || $("camera-found").textContent === found) return;
    this.#announced = performance.now();
    $("camera-found").textContent = found;
  }

  /** The current frame becomes one of the photos. */
  #keep() {
    if (!this.#video.videoWidth) return; // no frame yet
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.#video.videoWidth, this.#video.videoHeight];
    canvas.getContext("2d").drawImage(this.#video, 0, 0);
    const name = `webcam ${new Date().toTimeString().slice(0, 8).replaceAll(":", ".")}.png`;
    canvas.toBlob((blob) => this.page.keep(new File([blob], name, { type: blob.type })), "image/png");
  }
}
