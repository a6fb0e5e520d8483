/**
 * Client of tapcut for browsers and Node: every call of the API, typed by `schema.ts`, which `generate.mjs` makes
 * from the service's OpenAPI document; and the three things that such a document cannot say (uploads as forms,
 * refusals as errors, event streams).
 */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
export type Upload = Schemas["UploadAnswer"];
export type Status = Schemas["StatusAnswer"];
export type Preview = Schemas["PreviewAnswer"];
export type Problem = Schemas["Problem"];
export type SegmentRequest = Schemas["SegmentBody"];
export type PreviewRequest = Schemas["PreviewBody"];

/** A refusal: `problem.detail` is the service's sentence. `retryAfter` in seconds, where it asks for a pause. */
export class TapcutError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
    readonly retryAfter: number | null,
  ) {
    super(problem.detail);
  }
}

/** The job ended as `error`. */
export class JobFailed extends Error {
  constructor(readonly job: Status) {
    super(job.error ?? "no explanation");
  }
}

export interface Options {
  baseUrl: string;
  apiKey?: string;
}

export class Tapcut {
  /** Every call of the document, typed: `api.GET("/health")`. */
  readonly api: Client<paths>;

  constructor({ baseUrl, apiKey }: Options) {
    this.api = createClient<paths>({
      baseUrl,
      ...(apiKey === undefined ? {} : { headers: { Authorization: `Bearer ${apiKey}` } }),
    });
  }

  /** Register a picture. A repeat with the same `key` answers with the first one's job. */
  async upload(file: Blob, key: string = crypto.randomUUID()): Promise<Upload> {
    return answered(
      await this.api.POST("/upload", {
        params: { header: { "Idempotency-Key": key } },
        body: { file },
        bodySerializer: ({ file }) => {
          const form = new FormData();
          form.append("file", file, "picture");
          return form;
        },
      }),
    );
  }

  /** The mask for one prompt, at once. */
  async preview(request: PreviewRequest): Promise<Preview> {
    return answered(await this.api.POST("/preview", { body: request })) as Preview;
  }

  /** The same as a picture: PNG, white = object. */
  async previewMask(request: PreviewRequest): Promise<Blob> {
    const asked = { body: request, headers: { Accept: "image/png" }, parseAs: "blob" } as const;
    return answered(await this.api.POST("/preview", asked));
  }

  /** Queue the job. */
  async segment(jobId: string, request: SegmentRequest, key: string = crypto.randomUUID()): Promise<void> {
    const params = { query: { job_id: jobId }, header: { "Idempotency-Key": key } };
    answered(await this.api.POST("/segment", { params, body: request }));
  }

  /** The job as it is now. */
  async status(jobId: string): Promise<Status> {
    return answered(await this.api.GET("/status/{job_id}", { params: { path: { job_id: jobId } } }));
  }

  /** Every change of the job until it has ended: the last one is `ready` or `error`. */
  async *follow(jobId: string): AsyncGenerator<Status, void> {
    for (;;) {
      const params = { path: { job_id: jobId } };
      const stream = answered(await this.api.GET("/events/{job_id}", { params, parseAs: "stream" }));
      for await (const { event, data } of events(stream as unknown as ReadableStream<Uint8Array> | null)) {
        if (event !== "status") continue;
        const status = JSON.parse(data) as Status;
        yield status;
        if (status.status === "ready" || status.status === "error") return;
      }
      // A stream ends after a while, and is asked for again; a job that is gone is a 404 then.
    }
  }

  /** Wait for the job's end. */
  async wait(jobId: string, onStatus: (status: Status) => void = () => undefined): Promise<Status> {
    let last = await this.status(jobId);
    for await (last of this.follow(jobId)) onStatus(last);
    if (last.status === "error") throw new JobFailed(last);
    return last;
  }

  /** One file of a ready job. */
  async download(jobId: string, filename: string): Promise<Blob> {
    const params = { path: { job_id: jobId, filename } };
    return answered(await this.api.GET("/download/{job_id}/{filename}", { params, parseAs: "blob" }));
  }

  /** Delete the job and its files. */
  async cleanup(jobId: string): Promise<void> {
    answered(await this.api.DELETE("/cleanup/{job_id}", { params: { path: { job_id: jobId } } }));
  }
}

function answered<T>({ data, error, response }: { data?: T; error?: Problem; response: Response }): T {
  if (response.ok) return data as T;
  const retryAfter = response.headers.get("Retry-After");
  const unexplained = { title: response.statusText, status: response.status, detail: response.statusText };
  throw new TapcutError(response.status, error ?? unexplained, retryAfter === null ? null : Number(retryAfter));
}

/** Server-sent events of a stream, in whatever pieces it arrives. */
async function* events(stream: ReadableStream<Uint8Array> | null): AsyncGenerator<{ event: string; data: string }> {
  if (stream === null) return;
  const reader = stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        let event = "message";
        const data: string[] = [];
        for (const line of block.split("\n")) {
          if (line.startsWith("event:")) event = line.slice(6).trim();
          if (line.startsWith("data:")) data.push(line.slice(5).trim());
        }
        if (data.length > 0) yield { event, data: data.join("\n") };
      }
    }
  } finally {
    await reader.cancel();
  }
}
