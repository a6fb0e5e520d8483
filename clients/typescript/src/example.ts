// Remove the object at x, y from a picture: node build/example.js URL PICTURE X Y RESULT
import { readFile, writeFile } from "node:fs/promises";
import { argv } from "node:process";
import { Tapcut, TapcutError } from "./client.js";

const [url = "http://127.0.0.1:8000", picture = "photo.jpg", x = "250", y = "300", result = "clean.png"] = argv.slice(2);
const tapcut = new Tapcut({ baseUrl: url });

try {
  const job = await tapcut.upload(new Blob([Uint8Array.from(await readFile(picture))]));
  console.log(`uploaded: ${job.width}x${job.height}`);
  await tapcut.segment(job.job_id, { coordinates_list: [[Number(x), Number(y)]], outputs: ["full_inpainted"] });
  const ended = await tapcut.wait(job.job_id, (status) => console.log(`${status.progress}% ${status.stage}`));
  for (const one of ended.objects) console.log(`object ${one.index}: ${one.area} pixels, score ${one.score}`);
  const file = await tapcut.download(job.job_id, "full_inpainted.png");
  await writeFile(result, new Uint8Array(await file.arrayBuffer()));
  await tapcut.cleanup(job.job_id);
} catch (error) {
  if (!(error instanceof TapcutError)) throw error;
  console.error(`refused (${error.status}): ${error.message}`);
  process.exitCode = 1;
}
