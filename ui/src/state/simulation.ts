import { useEffect, useState } from "preact/hooks";

import { get, post, Problem, remove, type Schemas } from "../api/client";

type Answer = Schemas["Simulation"];
type Request = Schemas["SimulationRequest"];

export interface Simulated {
  /** The last result. It stays while the next one is computed. */
  result: Schemas["SimulationResult"] | undefined;
  /** The simulation that waits or runs, or that failed. */
  shown: Answer | undefined;
  problem: Problem | undefined;
  cancel: () => void;
  again: () => void;
}

/** Milliseconds without a change before a simulation starts, and between two looks at it. */
const CALM = 250;
const LOOK = 150;

/** Simulate what `request` is, whenever it changes. An earlier simulation that has not ended is cancelled. */
export function useSimulation(request: Request | undefined): Simulated {
  const [result, setResult] = useState<Simulated["result"]>();
  const [shown, setShown] = useState<Answer>();
  const [problem, setProblem] = useState<Problem>();
  const [turn, setTurn] = useState(0);
  const [stopped, setStopped] = useState<(() => void) | undefined>();
  const key = request === undefined ? "" : JSON.stringify(request);

  useEffect(() => {
    if (key === "") return;
    let current = true;
    let id = "";
    const end = () => {
      current = false;
      if (id !== "") void remove("/api/v1/simulations/{simulation}", { path: { simulation: id } }).catch(() => undefined);
    };
    setStopped(() => () => {
      end();
      setShown((before) => before && { ...before, phase: "cancelled", detail: "cancelled" });
    });
    const look = async () => {
      const found = await get("/api/v1/simulations/{simulation}", { path: { simulation: id } });
      if (!current) return;
      setShown(found);
      if (found.result) setResult(found.result);
      if (found.ended_at === null) setTimeout(() => { void look().catch(fail); }, LOOK);
      else id = "";
    };
    const fail = (error: unknown) => {
      if (current) setProblem(error instanceof Problem ? error : new Problem(0, String(error)));
    };
    const start = async () => {
      const started = await post("/api/v1/simulations", { body: JSON.parse(key) as Request });
      id = started.id;
      if (current) await look();
      else end();
    };
    setProblem(undefined);
    const calm = setTimeout(() => { void start().catch(fail); }, CALM);
    return () => {
      clearTimeout(calm);
      end();
    };
  }, [key, turn]);

  return { result, shown, problem, cancel: () => stopped?.(), again: () => { setTurn(turn + 1); } };
}
