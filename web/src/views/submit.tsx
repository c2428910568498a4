/** The form for a new task: checked by the published schema as it is written, and by the server when it is handed in. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { get, post, Problem, taskPath, type FieldError } from "../api/http";
import type { Task } from "../api/types";
import { LIMITS, inWords } from "../facts";
import { Copy } from "../parts/actions";
import { Empty } from "../parts/note";
import { useResource, useTitle } from "../parts/use";
import { go, route, taskHref } from "../route";
import { mayWrite, whoami } from "../state";
import { asCurl, asPython, asRun } from "../task/copies";
import { blank, draftOf, requestOfDraft, type Draft } from "../task/draft";
import { problems, taskSchema, type Schema } from "../task/schema";

const EXAMPLES: Record<string, string> = {
  cpus: "0.5", memory: "256m", pids: "64", timeout: "30s", output: "10m", tmp: "64m", cpu_time: "10s", artifacts: "64m", shm: "64m",
};

export function Submit() {
  useTitle("Submit");
  const from = route.value.query.get("from");
  const [draft, setDraft] = useState<Draft | null>(from ? null : blank());
  const schema = useResource("schema", async () => taskSchema(await get("openapi.json"))).data;
  const source = useResource(`from ${from}`, async (signal) => (from ? get<Task>(taskPath(from), signal) : null));
  useEffect(() => {
    if (source.data) setDraft(draftOf(source.data));
    else if (!from) setDraft((before) => before ?? blank());
  }, [source.data]);
  if (!whoami.value) return null;
  if (!mayWrite()) return <Empty title="You may only read"><p>This needs a token with the scope <code>submit</code>.</p></Empty>;
  if (source.error && !draft) return <Empty title="That task cannot be read"><p>{source.error.message}</p></Empty>;
  return draft && <Form draft={draft} change={(part) => setDraft({ ...draft, ...part })} schema={schema} from={from} />;
}

interface FormProps {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  schema: Schema | null;
  from: string | null;
}

function Form({ draft, change, schema, from }: FormProps) {
  const [refused, setRefused] = useState<{ request: string; errors: FieldError[]; message: string } | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [wasTried, setTried] = useState(false);
  const request = requestOfDraft(draft);
  const written = JSON.stringify(request);
  const own = schema ? problems({ ...request }, schema).filter(({ field }) => wasTried || field !== "image" || draft.image !== "") : [];
  const told = refused?.request === written ? refused : null;
  const errors = [...(told?.errors ?? []), ...own];
  const submit = async (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (!draft.image.trim() || own.length) return showFirst(event);
    setBusy(true);
    try {
      go(taskHref((await post<Task>("v1/tasks", request))._id));
    } catch (error) {
      setRefused({ request: written, errors: error instanceof Problem ? error.errors : [], message: (error as Error).message });
      setBusy(false);
    }
  };
  const field = { draft, change, errors };
  const unplaced = told && !told.errors.length ? told.message : "";
  return (
    <form class="submit" onSubmit={submit} noValidate>
      <div class="head"><h1>{from ? "Submit it again" : "Submit a task"}</h1></div>
      <div class="columns">
        <div>
          <fieldset class="card">
            <legend>Program</legend>
            <Text {...field} name="image" label="Image" hint="An image reference." placeholder="python:3.12-slim" isRequired wasTried={wasTried} />
            <Text {...field} name="command" label="Command" isLong rows={4} hint={draft.isShell ? "A line or a script for sh -c. Empty: the image's own command." : "A word on each line. Empty: the image's own command."} placeholder={draft.isShell ? "echo hello" : "echo\nhello"}>
              <div class="choice" role="group" aria-label="The command is">
                <button type="button" aria-pressed={draft.isShell} onClick={() => change({ isShell: true })}>for a shell</button>
                <button type="button" aria-pressed={!draft.isShell} onClick={() => change({ isShell: false })}>words</button>
              </div>
            </Text>
            <Text {...field} name="env" label="Variables" isLong rows={2} hint="NAME=value, one a line." />
            <Text {...field} name="labels" label="Labels" isLong rows={2} hint="name=value, one a line, to find the task by." />
          </fieldset>
          <fieldset class="card">
            <legend>Limits</legend>
            <p class="quiet">What is left empty is as this deployment has set it.</p>
            <div class="grid">
              {Object.entries(LIMITS).map(([name, { help }]) => <Limit key={name} {...field} name={name} help={help} />)}
              <Text {...field} name="retries" label="retries" isCode placeholder="0" hint="Times it may be run again when it fails." />
            </div>
          </fieldset>
          <Files draft={draft} change={change} errors={errors} />
          <More {...field} />
        </div>
        <aside class="card preview" aria-label="The same from elsewhere">
          <h2>The same from elsewhere</h2>
          <pre tabIndex={0} role="group" aria-label="As a command">{asRun(request)}</pre>
          <p class="copies">
            <Copy text={() => asRun(request)} label="Copy as orchestrator run">run</Copy>
            <Copy text={() => asCurl(request, new URL(".", location.href).href)} label="Copy as curl">curl</Copy>
            <Copy text={() => asPython(request, new URL(".", location.href).href)} label="Copy as Python">Python</Copy>
          </p>
          <div class="buttons">
            <button type="submit" class="strong" disabled={isBusy}>{isBusy ? "Submitting…" : "Submit task"}</button>
          </div>
          {unplaced && <p class="error" role="alert">{unplaced}</p>}
          {errors.length > 0 && wasTried && <p class="error" role="alert">{errors.length === 1 ? "One field has" : `${errors.length} fields have`} to be mended.</p>}
        </aside>
      </div>
    </form>
  );
}

function showFirst(event: Event): void {
  const form = event.currentTarget as HTMLFormElement;
  requestAnimationFrame(() => form.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
}

interface FieldProps {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  errors: FieldError[];
}

type TextName = { [name in keyof Draft]: Draft[name] extends string ? name : never }[keyof Draft];

interface TextProps extends FieldProps {
  name: TextName;
  label: string;
  hint: string;
  placeholder?: string;
  isLong?: boolean;
  isCode?: boolean;
  rows?: number;
  isRequired?: boolean;
  wasTried?: boolean;
  children?: ComponentChildren;
}

function Text({ draft, change, errors, name, ...rest }: TextProps) {
  const missing = rest.isRequired && rest.wasTried && !draft[name].trim() ? "is missing" : "";
  return <Input {...rest} value={draft[name]} set={(text) => change({ [name]: text })} error={errorOf(errors, name) || missing} />;
}

function Limit({ draft, change, errors, name, help }: FieldProps & { name: string; help: string }) {
  const set = (text: string) => change({ limits: { ...draft.limits, [name]: text } });
  const placeholder = EXAMPLES[name] ? `such as ${EXAMPLES[name]}` : "";
  return <Input label={inWords(name)} isCode hint={help} placeholder={placeholder} value={draft.limits[name] ?? ""} set={set} error={errorOf(errors, `limits.${name}`)} />;
}

function errorOf(errors: FieldError[], name: string): string {
  const own = errors.find(({ field }) => field === name || (field.startsWith(`${name}.`) && name !== "limits") || field.startsWith(`${name}[`));
  return own?.message ?? "";
}

interface InputProps {
  label: string;
  hint: string;
  placeholder?: string;
  isLong?: boolean;
  /** Whether the label is the name of a field of the document. */
  isCode?: boolean;
  rows?: number;
  value: string;
  set: (text: string) => void;
  error: string;
  children?: ComponentChildren;
}

function Input({ label, hint, placeholder, isLong, isCode, rows, value, set, error, children }: InputProps) {
  const id = useId();
  const attributes = {
    id, value, placeholder: placeholder ?? "", spellcheck: false, autoComplete: "off" as const,
    "aria-invalid": error ? ("true" as const) : ("false" as const), "aria-describedby": `${id}-hint`,
  };
  return (
    <div class={`field ${error ? "bad" : ""}`}>
      <div class="label"><label for={id}>{isCode ? <code>{label}</code> : label}</label>{children}</div>
      {isLong
        ? <textarea {...attributes} rows={rows ?? 2} onInput={(event) => set(event.currentTarget.value)} />
        : <input {...attributes} type="text" onInput={(event) => set(event.currentTarget.value)} />}
      <p id={`${id}-hint`} class={error ? "error" : "hint"}>{error || hint}</p>
    </div>
  );
}

function Files({ draft, change, errors }: FieldProps) {
  const set = (at: number, part: Partial<Draft["files"][number]>) => change({ files: draft.files.map((file, row) => (row === at ? { ...file, ...part } : file)) });
  const hidden = Object.keys(draft.kept.files ?? {});
  const error = errorOf(errors, "files");
  return (
    <fieldset class="card">
      <legend>Files</legend>
      <p class="quiet">They appear read-only below <code>/task</code>.</p>
      {hidden.length > 0 && <p class="quiet">Kept as they were, because they are not text: {hidden.join(", ")}.</p>}
      {draft.files.map((file, at) => (
        <div class="file" key={at}>
          <Input label="Path" hint="Below /task." placeholder="main.py" value={file.path} set={(path) => set(at, { path })} error="" />
          <Input label="Content" hint="Text." isLong rows={4} value={file.content} set={(content) => set(at, { content })} error="" />
          <button type="button" class="small" onClick={() => change({ files: draft.files.filter((_, row) => row !== at) })}>Remove file</button>
        </div>
      ))}
      {error && <p class="error">{error}</p>}
      <button type="button" onClick={() => change({ files: [...draft.files, { path: "", content: "" }] })}>Add a file</button>
    </fieldset>
  );
}

function More({ draft, change, errors }: FieldProps) {
  const field = { draft, change, errors };
  const isBad = errors.some(({ field }) => ["entrypoint", "working_dir", "user", "runtime", "keep", "artifacts", "stdin", "network", "init", "on_output_limit"].some((name) => field.startsWith(name)));
  return (
    <details class="card" open={isBad || undefined}>
      <summary>More: input, output, user, network</summary>
      <Text {...field} name="stdin" label="Standard input" isLong rows={2} hint="Text that the program can read." />
      <Text {...field} name="artifacts" label="Artifacts" isLong rows={2} hint="Paths below /out to keep, one a line; . for all of it." />
      <div class="grid">
        <Text {...field} name="entrypoint" label="Entrypoint" hint="In place of the image's." />
        <Text {...field} name="working_dir" label="Folder to start in" hint="An absolute path." placeholder="/tmp" />
        <Text {...field} name="user" label="User" hint="A numeric uid or uid:gid." placeholder="1000:1000" />
        <Text {...field} name="runtime" label="Runtime" hint="What the engine is to run it with." />
        <Text {...field} name="keep" label="Keep for" hint="After its end; 0 for ever." placeholder="such as 30d" />
        <div class="field">
          <div class="label"><label for="overflow">When it prints too much</label></div>
          <select id="overflow" value={draft.on_output_limit} onChange={(event) => change({ on_output_limit: event.currentTarget.value })}>
            <option value="">end it (as usual)</option>
            <option value="drop_middle">let it go on, keep both ends</option>
          </select>
        </div>
      </div>
      <label class="check"><input type="checkbox" checked={draft.network} onChange={(event) => change({ network: event.currentTarget.checked })} /> With a network{errorOf(errors, "network") && <span class="error">{errorOf(errors, "network")}</span>}</label>
      <label class="check"><input type="checkbox" checked={draft.init} onChange={(event) => change({ init: event.currentTarget.checked })} /> An init process reaps what the program leaves</label>
    </details>
  );
}
