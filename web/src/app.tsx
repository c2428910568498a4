/** Which view is shown; what is there already stays until the next one has something to show. */
import { Frame } from "./parts/frame";
import { Empty } from "./parts/note";
import { route } from "./route";
import { session } from "./state";
import { Overview } from "./views/overview";
import { Submit } from "./views/submit";
import { TaskPage } from "./views/task";
import { Tasks } from "./views/tasks";
import { Token } from "./views/token";
import { Workers } from "./views/workers";

export function App() {
  return session.value === "needed" ? <Token /> : <Frame><View /></Frame>;
}

function View() {
  const [view = "tasks", id] = route.value.path;
  switch (view) {
    case "tasks": return id === undefined ? <Tasks /> : <TaskPage key={id} id={id} />;
    case "overview": return <Overview />;
    case "workers": return <Workers />;
    case "submit": return <Submit key={route.value.query.get("from")} />;
    default: return <Empty title="There is no such page"><p><a href="#/tasks">See all tasks</a>.</p></Empty>;
  }
}
