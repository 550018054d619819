import { describe, expect, it } from 'vitest';
import { AGENTS } from '../../../src/agents/agents.ts';
import { sessionEnvironment } from '../../../src/capsule/environment.ts';

const host = { env: { EDITOR: 'vi' }, keys: { kimi: { KIMI_API_KEY: 'one' }, claude: { ANTHROPIC_API_KEY: 'two' } } };
const kimi = { id: 'kimi-1', agent: 'kimi', cwd: '/work', io: 'pty' } as const;

describe('the environment of a session', () => {
  it('holds what the host sent, and the keys of its own agent only', () => {
    const env = sessionEnvironment({ PATH: '/bin' }, host, kimi, '/home/agent');
    expect(env).toEqual({
      PATH: '/bin',
      EDITOR: 'vi',
      KIMI_API_KEY: 'one',
      TERM: 'xterm-256color',
      COLORTERM: 'truecolor',
      LANG: 'C.UTF-8',
      JACKIN_AGENT: 'kimi',
      JACKIN_SESSION_ID: 'kimi-1',
      HOME: '/home/agent',
      PWD: '/work',
    });
  });

  it('holds no keys and no agent for anything that is not an agent', () => {
    for (const agent of ['shell', 'constructor', 'toString']) {
      const env = sessionEnvironment({}, host, { ...kimi, agent, io: 'pipe' }, '/home/agent');
      expect(Object.keys(env).sort()).toEqual(['EDITOR', 'HOME', 'JACKIN_SESSION_ID', 'LANG', 'PWD']);
    }
  });

  it('takes loader tricks from the image away, not from the operator', () => {
    const image = { NODE_OPTIONS: '-r /evil', LD_PRELOAD: '/evil.so', LD_LIBRARY_PATH: '/evil', NODE_EXTRA_CA_CERTS: '/evil.pem', NODE_ENV: 'x' };
    const env = sessionEnvironment(image, { env: { NODE_EXTRA_CA_CERTS: '/mine.pem' }, keys: {} }, kimi, '/home/agent');
    expect(Object.keys(env).filter((name) => Object.hasOwn(image, name))).toEqual(['NODE_ENV', 'NODE_EXTRA_CA_CERTS']);
    expect(env['NODE_EXTRA_CA_CERTS']).toBe('/mine.pem');
  });

  it('keeps the language of the container, and HOME against everything', () => {
    const env = sessionEnvironment({ LANG: 'de_DE.UTF-8', HOME: '/root' }, { env: { HOME: '/elsewhere' }, keys: {} }, kimi, '/home/agent');
    expect([env['LANG'], env['HOME']]).toEqual(['de_DE.UTF-8', '/home/agent']);
  });

  it('holds a key under the name by which the agent uses it without asking, where a person could be asked', () => {
    const names = (io: 'pty' | 'pipe') => Object.keys(sessionEnvironment({}, host, { id: 'claude-1', agent: 'claude', cwd: '/work', io }, '/home/agent'));
    expect(names('pty')).toContain('JACKIN_ANTHROPIC_API_KEY');
    expect(names('pty')).not.toContain('ANTHROPIC_API_KEY');
    expect(names('pipe')).toContain('ANTHROPIC_API_KEY');
    expect(names('pipe')).not.toContain('JACKIN_ANTHROPIC_API_KEY');
  });

  it('of every agent holds its own keys, each once, and no other’s', () => {
    const keys = Object.fromEntries(Object.values(AGENTS).map((agent) => [agent.slug, Object.fromEntries(Object.values(agent.keys).map((name) => [name, `fake-${name}`]))]));
    for (const { slug, keys: own } of Object.values(AGENTS)) {
      for (const io of ['pty', 'pipe'] as const) {
        const env = sessionEnvironment({}, { env: {}, keys }, { id: `${slug}-1`, agent: slug, cwd: '/', io }, '/home/agent');
        const values = Object.values(env).filter((value) => value.startsWith('fake-'));
        expect(values.sort()).toEqual(Object.values(own).map((name) => `fake-${name}`).sort());
      }
    }
  });

  it('holds a value of several lines as it is', () => {
    const text = '-----BEGIN FAKE-----\nline\r\n\n-----END-----\n';
    const env = sessionEnvironment({}, { env: { MANY: text }, keys: { kimi: { KIMI_API_KEY: text } } }, kimi, '/home/agent');
    expect([env['MANY'], env['KIMI_API_KEY']]).toEqual([text, text]);
  });
});
