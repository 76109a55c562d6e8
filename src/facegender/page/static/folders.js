// Folders that were dropped, as the photos in them.

/** Of the files in a folder those are taken that call themselves pictures; browsers do not know the type of each. */
const PICTURE = /\.(avif|bmp|gif|hei[cf]|jp2|jpe?g|png|tiff?|webp)$/i;
const inOrder = new Intl.Collator("en", { numeric: true }).compare;

/** What was dropped, where a folder is among it; null where none is. To be asked while the event is handled. */
export function entriesOf({ items }) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  return entries.some(({ isDirectory }) => isDirectory) ? entries : null;
}

/** The files among these, and the photos in the folders and in their folders, by name. */
export async function photosIn(entries) {
  const found = [];
  for (const entry of entries) {
    if (entry.isDirectory) found.push(...(await photosIn(await within(entry))));
    else found.push(await fileOf(entry));
  }
  return found;
}

/** The folders in a folder and its photos, by name; not those that are hidden: what systems leave there. */
async function within(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (let some; (some = await listed(reader)).length; ) entries.push(...some); // 100 at a time
  const wanted = ({ name, isDirectory }) => !name.startsWith(".") && (isDirectory || PICTURE.test(name));
  return entries.filter(wanted).sort((a, b) => inOrder(a.name, b.name));
}

const listed = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));
