package sim

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ssmrun/internal/agentlink"
)

// instance is who one agent is.
type instance struct {
	ID          string `json:"id"`
	Fingerprint string `json:"fingerprint"`
}

// state is who all agents are. They share one key: to make ten thousand would
// take a quarter of an hour.
type state struct {
	region    string
	key       *rsa.PrivateKey
	instances []instance
}

// identity is one agent's as agentlink wants it.
func (s *state) identity(i instance) agentlink.Identity {
	return agentlink.Identity{InstanceID: i.ID, Region: s.region, Fingerprint: i.Fingerprint, Key: s.key}
}

// stateFile is the form on disk.
type stateFile struct {
	Region    string     `json:"region"`
	Key       []byte     `json:"private_key"` // DER PKCS #8
	Instances []instance `json:"instances"`
}

// readState reads the file of an earlier run, or begins with a new key where
// there is none.
func readState(path, region string) (*state, error) {
	var f stateFile
	b, err := os.ReadFile(path)
	switch {
	case path == "" || errors.Is(err, fs.ErrNotExist):
		id, err := agentlink.NewIdentity(region)
		return &state{region: region, key: id.Key}, err
	case err != nil:
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	if json.Unmarshal(b, &f) != nil { // the error could quote the key
		return nil, fmt.Errorf("read the state file: %s is not valid JSON", path)
	}
	if f.Region != region {
		return nil, fmt.Errorf("read the state file: its instances belong to region %q, not to %q; use another --state", f.Region, region)
	}
	key, err := x509.ParsePKCS8PrivateKey(f.Key)
	r, ok := key.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("read the state file: %s holds no RSA key; remove it, and the agents register anew", path)
	}
	return &state{region: region, key: r, instances: f.Instances}, nil
}

// write puts the state into its file, whole or not at all.
func (s *state) write(path string) error {
	if path == "" {
		return nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return fmt.Errorf("encode the state file: %w", err)
	}
	return writeJSON(path, stateFile{Region: s.region, Key: der, Instances: s.instances})
}

// writeJSON writes a file of mode 0600, whole or not at all.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".sim-*") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
