package agent

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/document"
	"ssmrun/internal/executor"
)

// inputRunAs is the input by which a step chooses the user that it runs as. It
// is this project's own: the genuine agent does not look at it.
const inputRunAs = "runAsUser"

// account is a user of the host.
type account struct {
	name, home string
	user       *executor.User // nil: the agent's own
}

// ownName is the name of the agent's own user, or its number where it has none.
func ownName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// findAccount looks a user of the host up: in /etc/passwd and /etc/group, in a
// build without cgo.
func findAccount(name string) (account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, fmt.Errorf("this host has no user %s: make it, or name another", name)
	}
	a := account{name: u.Username, home: u.HomeDir}
	if a.home == "" {
		a.home = "/"
	}
	if u.Uid == strconv.Itoa(os.Geteuid()) {
		return a, nil
	}
	if os.Geteuid() != 0 {
		return account{}, fmt.Errorf("scripts cannot run as user %s: the agent is not root, and so runs them as %s only", name, ownName())
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	ids, err3 := u.GroupIds()
	if err := errors.Join(err1, err2, err3); err != nil {
		return account{}, fmt.Errorf("the groups of user %s cannot be found: %w", name, err)
	}
	a.user = &executor.User{UID: uint32(uid), GID: uint32(gid)}
	for _, id := range ids {
		g, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("the groups of user %s cannot be found: %w", name, err)
		}
		a.user.Groups = append(a.user.Groups, uint32(g))
	}
	return a, nil
}

// checkRunAs checks at the start that scripts can run as the configured user.
func (c Config) checkRunAs() error {
	if c.RunAs == "" {
		return nil
	}
	who, err := findAccount(c.RunAs)
	if err != nil {
		return fmt.Errorf("--run-as: %w", err)
	}
	if who.user == nil {
		return nil
	}
	// The folder itself is opened for him when a step runs.
	if closed := who.user.StoppedAt(filepath.Dir(c.StateDir)); closed != "" {
		return fmt.Errorf("--run-as: user %s may not enter %s, below which scripts lie: chmod a+x %s, or choose another --state", who.name, closed, closed)
	}
	return nil
}

// userOf names the user that a step runs as, and tells whether the step's inputs
// choose it.
func (a *Agent) userOf(inputs map[string]any) (name string, chosen bool, err error) {
	switch v := inputs[inputRunAs].(type) {
	case nil:
	case string:
		if name = strings.TrimSpace(v); name != "" {
			return name, true, nil
		}
	default:
		return "", false, errors.New(inputRunAs + " is not a text")
	}
	if a.cfg.RunAs != "" {
		return a.cfg.RunAs, false, nil
	}
	return ownName(), false, nil
}

// runAs makes a step's input that of its user, where it is another than the
// agent's: he can read the script, start in a folder of his own, and finds
// himself in the environment. An error says why the step is not run.
func (a *Agent) runAs(c *command, s document.Step, p plugin.Plugin, in *plugin.Input) error {
	name, chosen, err := a.userOf(in.Inputs)
	if err != nil {
		return err
	}
	// What a stored parameter says is known only now.
	if err := a.allowStep(s, name, chosen); err != nil {
		return err
	}
	a.noteStep(c, s)
	if !chosen && a.cfg.RunAs == "" {
		return nil
	}
	who, err := findAccount(name)
	if err != nil {
		return err
	}
	in.Env = setEnv(in.Env, "HOME", who.home)
	in.Env = setEnv(in.Env, "USER", who.name)
	in.Env = setEnv(in.Env, "LOGNAME", who.name)
	if who.user == nil {
		return nil
	}
	if _, ok := p.(plugin.AsUser); !ok {
		return fmt.Errorf("the plugin %s cannot run as another user, here %s", s.Action, name)
	}
	in.User = who.user
	if in.WorkDir, err = a.letIn(who, in.Folder); err != nil {
		return fmt.Errorf("folders for user %s cannot be made: %w", name, err)
	}
	return nil
}

// letIn opens the way to a step's folder, to be passed and not to be read, and
// gives the folder that the user's scripts start in.
func (a *Agent) letIn(who account, folder string) (workDir string, err error) {
	users := filepath.Join(a.folder.Dir(), "users")
	if err := os.MkdirAll(users, 0o711); err != nil {
		return "", err
	}
	for _, dir := range []string{a.folder.Dir(), a.folder.Orchestration(), users, folder} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return "", err
		}
	}
	if a.cfg.WorkDir != filepath.Join(a.folder.Dir(), "work") {
		return a.cfg.WorkDir, nil // the operator's choice
	}
	own := filepath.Join(users, strconv.FormatUint(uint64(who.user.UID), 10))
	if err := os.Mkdir(own, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return own, os.Chown(own, int(who.user.UID), int(who.user.GID))
}

// setEnv puts a variable in the place of one of the same name.
func setEnv(env []string, name, value string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, name+"=") })
	return append(env, name+"="+value)
}
