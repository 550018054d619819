import { describe, expect, it } from 'vitest';
import { makeSandbox } from './run.ts';

describe('--format json', () => {
  it.each([
    [['load', 'agent-smith', '--no-such-option', '--format', 'json'], /unknown option '--no-such-option'/],
    [['load', '--agent', 'nobody', '--format=json'], /nobody/],
    [['eject', 'one', 'two', '--format', 'json'], /too many arguments/],
  ])('tells wrong usage on stdout as well: %j', async (argv, message) => {
    const { run } = await makeSandbox();
    const { code, stdout } = await run(argv);
    expect(code).toBe(2);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    expect(error).toMatchObject({ code: 'usage', exit_code: 2, origin: 'jackin', message: expect.stringMatching(message) });
    expect(error.message).not.toMatch(/^error:/);
  });

  it('keeps help and version as they are', async () => {
    const { run } = await makeSandbox();
    expect(await run(['--version', '--format', 'json'])).toMatchObject({ code: 0, stdout: '0.0.0-test\n' });
  });
});
