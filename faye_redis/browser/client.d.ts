/** The browser client of faye_redis. As a script it is the global `Faye`. */

export as namespace Faye;

export const VERSION: string;

/** What the server refuses, or the client itself: then without a code. */
declare class FayeError extends globalThis.Error {
  readonly code: number | null;
  readonly params: string[];
}

export { FayeError as Error };

export interface Options {
  /** Seconds to wait for an answer, until the server says how long it holds a connect; 60. */
  timeout?: number;
  /** The longest pause between two attempts to reconnect, in seconds; 5. */
  retry?: number;
  /** Seconds between two connects, until the server says so; 0. */
  interval?: number;
  /** Another address for a transport. */
  endpoints?: Partial<Record<Transport, string>>;
}

export type Transport = 'websocket' | 'long-polling';

export interface Message {
  channel: string;
  id?: string;
  clientId?: string;
  data?: any;
  ext?: any;
  successful?: boolean;
  error?: string;
  [field: string]: any;
}

export interface Extension {
  incoming?(message: Message, callback: (message: Message | null) => void): void;
  outgoing?(message: Message, callback: (message: Message | null) => void): void;
  added?(client: Client): void;
  removed?(client: Client): void;
}

export interface Subscription extends PromiseLike<void> {
  catch<Result>(failed: (error: FayeError) => Result): Promise<void | Result>;
  withChannel(callback: (channel: string, data: any) => void, context?: any): this;
  cancel(): void;
  unsubscribe(): void;
}

export interface PublishOptions {
  /** How often the message is sent at most. */
  attempts?: number;
  /** Seconds after which it is not sent again. */
  deadline?: number;
}

/** `refused`: a subscription was; `stopped`: the server wants this client no more. */
export interface Events {
  'transport:up': () => void;
  'transport:down': () => void;
  refused: (error: FayeError) => void;
  stopped: (error: FayeError) => void;
}

type Listen<Result> = <Name extends keyof Events>(
  event: Name, callback: Events[Name], context?: any) => Result;

type Unlisten<Result> = <Name extends keyof Events>(event: Name, callback?: Events[Name]) => Result;

export class Client {
  constructor(endpoint?: string | URL, options?: Options);

  readonly clientId: string | null;
  readonly connectionType: Transport | undefined;

  connect(callback?: () => void, context?: any): Promise<void>;
  disconnect(): Promise<void>;

  subscribe(channel: string, callback?: (data: any) => void, context?: any): Subscription;
  subscribe(channels: string[], callback?: (data: any) => void, context?: any): Subscription[];
  unsubscribe(channel: string | string[], subscription?: Subscription): void;
  publish(channel: string, data: any, options?: PublishOptions): Promise<Message>;

  addExtension(extension: Extension): void;
  removeExtension(extension: Extension): void;

  on: Listen<this>;
  bind: Listen<this>;
  off: Unlisten<this>;
  unbind: Unlisten<this>;

  disable(feature: Transport | 'autodisconnect' | (string & {})): void;
  setHeader(name: string, value: string): void;
}
