"""A peer: FastAPI and SQLAlchemy's ORM, as most teams write it. It has no authentication and no events."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, EmailStr
from sqlalchemy import JSON, DateTime, String, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    __table_args__ = {"schema": "account"}  # noqa: RUF012 - as SQLAlchemy has it

    user_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    email: Mapped[str] = mapped_column(String(255))
    email_key: Mapped[str] = mapped_column(String(512))
    name: Mapped[str | None] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True)
    preferences: Mapped[dict[str, Any]] = mapped_column(
        JSON().with_variant(JSONB(), "postgresql"), default=dict
    )
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Ensure(BaseModel):
    user_id: str
    email: EmailStr
    name: str


class Profile(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    user_id: str
    email: str
    name: str | None
    is_active: bool
    preferences: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Summary(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    user_id: str
    email: str
    name: str | None
    is_active: bool
    created_at: datetime


class Page(BaseModel):
    accounts: list[Summary]
    total: int
    page: int
    page_size: int


class Stats(BaseModel):
    total_accounts: int
    active_accounts: int
    inactive_accounts: int
    recent_registrations_7d: int
    recent_registrations_30d: int


engine = create_async_engine(
    os.environ["BENCH_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=10,
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def get_session() -> AsyncGenerator[AsyncSession]:
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/accounts/profile/{user_id}", response_model=Profile)
async def get_profile(user_id: str, session: Session) -> User:
    user = await session.get(User, user_id)
    if user is None or not user.is_active:
        raise HTTPException(404, "Account not found")
    return user


@app.post("/accounts/ensure", response_model=Profile)
async def ensure(body: Ensure, session: Session) -> User:
    user = await session.get(User, body.user_id)
    if user is None:
        taken = await session.scalar(select(User).where(User.email_key == body.email.lower()))
        if taken is not None:
            raise HTTPException(400, "Email already exists")
        user = User(user_id=body.user_id, email=body.email, email_key=body.email.lower(), name=body.name)
        session.add(user)
        await session.commit()
        await session.refresh(user)
    return user


@app.get("/accounts", response_model=Page)
async def list_accounts(
    session: Session,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 50,
) -> dict[str, Any]:
    query = select(User).where(User.is_active)
    total = await session.scalar(select(func.count()).select_from(query.subquery()))
    rows = await session.scalars(
        query.order_by(User.created_at.desc()).offset((page - 1) * page_size).limit(page_size)
    )
    return {"accounts": rows.all(), "total": total, "page": page, "page_size": page_size}


@app.get("/accounts/search", response_model=list[Summary])
async def search(session: Session, query: str, limit: int = 50) -> list[User]:
    pattern = f"%{query}%"
    rows = await session.scalars(
        select(User)
        .where(or_(User.name.ilike(pattern), User.email.ilike(pattern)), User.is_active)
        .order_by(User.created_at.desc())
        .limit(limit)
    )
    return list(rows.all())


@app.get("/accounts/stats", response_model=Stats)
async def stats(session: Session) -> dict[str, Any]:
    now = datetime.now(UTC)
    users = select(func.count()).select_from(User)
    total = await session.scalar(users) or 0
    active = await session.scalar(users.where(User.is_active)) or 0
    return {
        "total_accounts": total,
        "active_accounts": active,
        "inactive_accounts": total - active,
        "recent_registrations_7d": await session.scalar(
            users.where(User.created_at >= now - timedelta(days=7))
        ),
        "recent_registrations_30d": await session.scalar(
            users.where(User.created_at >= now - timedelta(days=30))
        ),
    }
