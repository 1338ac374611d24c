"""Who is who at a broker: authority, rights, enrolment, renewal, audit from outside. Of hub and collector alike."""
