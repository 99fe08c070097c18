;; Shared by Tweeze's plug-ins; the installer puts it into each of them, with the spool's path.
;; A plug-in only reads and writes small files and returns at once: Audacity stays free.
(setf *float-format* "%.6f")
(setf tweeze-spool "@SPOOL@/")

;; The engine is alive while the time in its sign of life is less than 5 seconds off, on a full
;; disk as well (engine/queue/heartbeat.py says how).
(defun tweeze-alive ()
  (let ((fp (open (strcat tweeze-spool "engine"))) (beat 0))
    (when fp
      (do ((line (read-line fp) (read-line fp))) ((null line))
        (when (and (> (length line) 5) (string= (subseq line 0 5) "time="))
          (setf beat (read (make-string-input-stream (subseq line 5))))))
      (close fp))
    (< (abs (- (get-real-time) beat)) 5)))

;; Writes lines and a closing "end" into a file of the spool; nil if that did not go well. Nyquist
;; does not say when a disk is full, so the file is read again; one that is gone was taken.
(defun tweeze-write (name fields)
  (let* ((path (strcat tweeze-spool name)) (fp (open path :direction :output)) (final "end"))
    (when fp
      (dolist (field fields) (format fp "~a=~a~%" (car field) (cadr field)))
      (format fp "end~%")
      (close fp)
      (setf fp (open path))
      (when fp
        (setf final "")
        (do ((line (read-line fp) (read-line fp))) ((null line)) (setf final line))
        (close fp))
      (string= final "end"))))

(defun tweeze-there (name)
  (let ((fp (open (strcat tweeze-spool name))))
    (when fp (close fp) t)))

(setf tweeze-no-room
  "Tweeze cannot write to its folder (is the disk full?): run 'tweeze doctor' in a terminal.")

;; One sentence if nothing can be done, else nil. An engine that ends takes its sign of life away;
;; an old one says that it was killed, or has no room to write another.
(defun tweeze-trouble (needs-selection)
  (cond
    ((tweeze-alive) (tweeze-unselected needs-selection))
    ((and (tweeze-there "engine") (not (tweeze-write ".probe" nil))) tweeze-no-room)
    (t "The Tweeze engine is not running: run 'tweeze start' in a terminal, and try again.")))

(defun tweeze-unselected (needs-selection)
  (cond
    ((not needs-selection) nil)
    ((null (get '*selection* 'tracks))
      "Nothing is selected: mark a range of time on an audio track, and try again.")
    ((not (> (get '*selection* 'end) (get '*selection* 'start)))
      "Nothing is selected: mark a range of time, not a single point, and try again.")))

;; Whether a text is made of printable ASCII: other signs could make a request unreadable.
(defun tweeze-simple (text)
  (let ((simple t))
    (dotimes (i (length text))
      (if (not (< 31 (char-code (char text i)) 127)) (setf simple nil)))
    simple))

;; What is selected in this moment, in the form that audacity/view.py reads: the engine need not ask
;; for it then.
(defun tweeze-seen (now)
  (let (seen)
    (setf *float-format* "%.9f")
    (setf seen
      (format nil "~a ~a ~a ~a ~a ~a ~a ~a" now
        (get '*selection* 'start) (get '*selection* 'end) (get '*project* 'rate)
        (get '*selection* 'low-hz) (get '*selection* 'high-hz)
        (get '*selection* 'tracks) (get '*project* 'name)))
    (setf *float-format* "%.6f")
    (if (tweeze-simple seen) seen "")))

;; Writes a request for the engine; nil (no message, no undo step) if that went well.
(defun tweeze-request (fields)
  (let* ((now (get-real-time))
         (whole (truncate now))
         (id (format nil "a~a-~a" whole (truncate (* 1000000 (- now whole)))))
         (head (list (list "tweeze" "1") (list "id" id) (list "host" "audacity")
                 (list "seen" (tweeze-seen now)))))
    (if (tweeze-write (strcat "requests/" id) (append head fields)) nil tweeze-no-room)))
