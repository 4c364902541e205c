package daemon

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"ssmrun/internal/awsapi"
)

// auditRecord is one line of the audit log: who did what, where, and how it
// went. Names and ids only; no values of parameters, no outputs, no keys.
type auditRecord struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"request_id"`
	Caller    string    `json:"caller,omitempty"` // ARN, or the instance id of an agent
	Source    string    `json:"source"`
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	Region    string    `json:"region,omitempty"`
	awsapi.Subject
	Outcome string `json:"outcome"` // OK or the code of the error
}

// auditLog appends to audit.log. A line is written with one call, so that lines
// of several writers do not mix and a crash leaves at most one short line.
type auditLog struct {
	mu   sync.Mutex
	file *os.File
	log  *slog.Logger
}

func openAudit(path string, log *slog.Logger) (*auditLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	return &auditLog{file: f, log: log}, nil
}

func (a *auditLog) write(r auditRecord) {
	r.Time = r.Time.UTC()
	b, err := json.Marshal(r)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		_, err = a.file.Write(append(b, '\n'))
	}
	if err != nil {
		a.log.Error("write the audit log", "error", err)
	}
}

func (a *auditLog) Close() error { return a.file.Close() }
