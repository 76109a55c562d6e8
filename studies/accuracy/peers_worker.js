// One network from npm as a process that stays warm: `node peers_worker.js NODE_MODULES human|face-api|face-api-demo`.
//
// Each line that comes in is a path as JSON. Each line that goes out is its answer: {faces, gender, ms}; gender is that
// of the largest face, null where there is none; ms includes reading and decoding. Both packages take their networks
// from their own folder and run on one thread of TensorFlow.js's WASM backend; jpeg-js, which is JavaScript too, decodes.

const fs = require('fs'), path = require('path'), readline = require('readline');

const [, , modules, name] = process.argv;
const from = (...parts) => require(path.join(modules, ...parts));
// What the packages have to say goes to standard error: standard output is for the answers.
for (const kind of ['log', 'info', 'warn', 'debug']) console[kind] = console.error;

const tf = from('@tensorflow/tfjs'), wasm = from('@tensorflow/tfjs-backend-wasm'), jpeg = from('jpeg-js');
const WASM = path.join(modules, '@tensorflow/tfjs-backend-wasm/dist/');

async function main() {
  wasm.setWasmPaths(WASM);
  wasm.setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();
  const answer = await { human, 'face-api': faceApi, 'face-api-demo': faceApiDemo }[name]();
  say({ ready: true, backend: tf.getBackend() });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const began = performance.now(), pixels = decoded(JSON.parse(line)), faces = await answer(pixels);
    tf.dispose(pixels);
    const largest = faces.reduce((best, face) => (best && best.area >= face.area ? best : face), null);
    say({ faces: faces.length, gender: largest && largest.gender, ms: performance.now() - began });
  }
}

function say(record) {
  fs.writeSync(1, JSON.stringify(record) + '\n');
}

/** A JPEG file as a tensor, height x width x 3, int32. */
function decoded(file) {
  const { width, height, data } = jpeg.decode(fs.readFileSync(file), { useTArray: true, formatAsRGBA: false });
  return tf.tensor3d(data, [height, width, 3], 'int32');
}

/** Human's own settings, but every face, nothing remembered from photo to photo, and a gender at every score. */
async function human() {
  tf.io.registerLoadRouter((url) => (String(url).startsWith('file://') ? { load: async () => graph(url) } : null));
  const { Human } = from('@vladmandic/human/dist/human.node-wasm.js'), off = { enabled: false };
  const network = new Human({
    backend: 'wasm', wasmPath: WASM, modelBasePath: 'file://' + path.join(modules, '@vladmandic/human/models/'),
    cacheSensitivity: 0, cacheModels: false, body: off, hand: off, object: off, gesture: off, segmentation: off,
    face: { detector: { maxDetected: 20 }, description: { minConfidence: -1 }, emotion: off, iris: off },
  });
  await network.load();
  return async (pixels) => {
    const result = await network.detect(pixels);
    if (result.error) throw new Error(result.error);
    return result.face.map((face) => ({ area: face.box[2] * face.box[3], gender: face.gender }));
  };
}

/** A graph model's files, read as TensorFlow.js wants them. */
function graph(url) {
  const file = url.slice('file://'.length), described = JSON.parse(fs.readFileSync(file));
  const parts = described.weightsManifest.flatMap((group) => group.paths);
  const data = Buffer.concat(parts.map((part) => fs.readFileSync(path.join(path.dirname(file), part))));
  return {
    ...described, weightSpecs: described.weightsManifest.flatMap((group) => group.weights),
    weightData: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength),
  };
}

/** face-api: SSD MobileNet v1 as it is set, then the net for age and gender on the box. */
async function faceApi() {
  const { api, options, faces } = await faceApiWith({});
  return async (pixels) => faces(await api.detectAllFaces(pixels, options).withAgeAndGender());
}

/** face-api as in its demo for WASM: faces of less confidence too, and landmarks, which align the box. */
async function faceApiDemo() {
  const { api, options, faces } = await faceApiWith({ minConfidence: 0.1, maxResults: 10 });
  return async (pixels) => faces(await api.detectAllFaces(pixels, options).withFaceLandmarks().withAgeAndGender());
}

async function faceApiWith(settings) {
  const api = from('@vladmandic/face-api/dist/face-api.node-wasm.js');
  const models = path.join(modules, '@vladmandic/face-api/model');
  for (const net of ['ssdMobilenetv1', 'faceLandmark68Net', 'ageGenderNet']) await api.nets[net].loadFromDisk(models);
  const faces = (found) => found.map((face) => ({ area: face.detection.box.area, gender: face.gender }));
  return { api, options: new api.SsdMobilenetv1Options(settings), faces };
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
