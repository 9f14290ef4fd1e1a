/** Types of what `vendor/preact.entry.js` exports. Templates are not checked. */

export type Node = any;
type Setter<T> = (next: T | ((old: T) => T)) => void;
type Effect = () => void | undefined | (() => void);

export function html(strings: TemplateStringsArray, ...values: any[]): Node;
export function h(type: any, props: any, ...children: any[]): Node;
export function render(node: Node, root: Element): void;
export function createContext<T>(value: T): { Provider: any };
export function createRef<T>(): { current: T | null };
export const Fragment: any;

export class Component<P = any, S = any> {
  constructor(props?: P);
  props: P & { children?: any };
  state: S;
  setState(change: Partial<S>): void;
  render(): Node;
}

export function useState<T>(initial: T | (() => T)): [T, Setter<T>];
export function useReducer<T, A>(reduce: (old: T, act: A) => T, initial: T): [T, (act: A) => void];
export function useRef<T>(initial: T): { current: T };
export function useEffect(run: Effect, deps?: readonly any[]): void;
export function useLayoutEffect(run: Effect, deps?: readonly any[]): void;
export function useMemo<T>(make: () => T, deps: readonly any[]): T;
export function useCallback<T extends (...args: any[]) => any>(run: T, deps: readonly any[]): T;
export function useContext(context: any): any;
export function useId(): string;
