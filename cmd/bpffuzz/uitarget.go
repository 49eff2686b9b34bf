package main

// maxWarned bounds what is remembered of warnings of a target.
const maxWarned = 1000

// of returns what says what is done with one of several targets: findings and warnings,
// each warning once, with the target's name in front. The rest is said with -v only.
func (u *ui) of(target string) *ui {
	return &ui{stdout: u.stdout, stderr: u.stderr, verbose: u.verbose, parent: u, target: target, warned: map[string]bool{}}
}

// forward has the parent say it.
func (u *ui) forward(text string, warning bool) {
	u.mu.Lock()
	again := warning && u.warned[text]
	if warning && len(u.warned) < maxWarned {
		u.warned[text] = true
	}
	u.mu.Unlock()
	if !again {
		u.parent.tellOf(u.target, text, warning)
	}
}
