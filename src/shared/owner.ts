import { readFileSync } from 'node:fs';

/**
 * Identity of a process that owns something which must not outlive it. A pid
 * alone is not enough: pids are used again, and start over after a reboot.
 */
export interface Owner {
  pid: number;
  /** Start time of the process in clock ticks since boot; empty where the system does not tell. */
  started: string;
  /** Id of this boot of the machine; empty where the system does not tell. */
  boot: string;
}

const bootId = (): string => {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
};

/** What /proc/<pid>/stat says from its third field on: state first, start time as the twentieth. The second field may hold spaces and parentheses. */
const statOf = (pid: number): string[] => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
};

const startTime = (pid: number): string => statOf(pid)[19] ?? '';

export const currentOwner = (): Owner => ({ pid: process.pid, started: startTime(process.pid), boot: bootId() });

/** Whether that very process of this boot still runs. A process of another user counts as running. */
export const isSameProcess = ({ pid, started }: Omit<Owner, 'boot'>): boolean => {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  // Killed, and nobody has asked what became of it yet: where no process does that, it stays so for ever.
  if (statOf(pid)[0] === 'Z') return false;
  return started === '' || startTime(pid) === started;
};

/** Whether that very process still runs. */
export const isAlive = (owner: Owner): boolean => owner.boot === bootId() && isSameProcess(owner);
